#!/usr/bin/env bash
# Runs slither over the contracts, in an environment of its own. Every finding that stays is answered in contracts/README.md and
# switched off at its line (slither-disable) or in contracts/slither.config.json; any other ends this with an error.
# ROOMS="payments token" looks at those folders only.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=.tools/slither
requirements=scripts/slither-requirements.txt

[ -x .tools/bin/uv ] || bash scripts/get-uv.sh
wanted="$(sha256sum "$requirements")"
if [ "$(cat "$tool/.installed" 2>/dev/null)" != "$wanted" ]; then
    echo "installing slither"
    .tools/bin/uv venv --quiet --clear "$tool"
    .tools/bin/uv pip install --quiet --python "$tool/bin/python" --require-hashes --requirements "$requirements"
    echo "$wanted" >"$tool/.installed"
fi

# slither takes a folder for a project by its configuration file; there is no Hardhat in it.
build=.tools/slither-build
rm -rf "$build" && mkdir -p "$build"
# shellcheck disable=SC2086
node contracts/slither-input.mjs "$build/artifacts/build-info" ${ROOMS:-}
ln -s "$PWD"/contracts/*/ "$build/"
touch "$build/hardhat.config.js"
cd "$build"
exec ../slither/bin/slither . --config-file ../../contracts/slither.config.json --hardhat-ignore-compile --npx-disable "$@"
