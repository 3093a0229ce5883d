#!/usr/bin/env bash
# Runs slither over the contracts, in an environment of its own, and holds its findings against the answers in
# contracts/README.md. ROOMS="payments token" looks at those folders only and prints what slither prints.
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

build=.tools/slither-build
rm -rf "$build"
# shellcheck disable=SC2086
node contracts/slither-input.mjs "$build" ${ROOMS:-}
slither=(../slither/bin/slither . --config-file ../../contracts/slither.config.json --hardhat-ignore-compile --npx-disable)
cd "$build"
if [ -n "${ROOMS:-}" ]; then
    exec "${slither[@]}"
fi
if ! "${slither[@]}" --json findings.json >slither.log 2>&1; then
    cat slither.log >&2
    exit 2
fi
exec ../slither/bin/python ../../scripts/slither_answers.py findings.json ../../contracts/README.md
