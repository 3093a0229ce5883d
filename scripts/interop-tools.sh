#!/usr/bin/env bash
# Installs other people's clients for `make interop`: the npm packages of tests/interop/package-lock.json, and what is
# missing of Node, curl, wget and aria2 from Debian when run as root; else it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=tests/interop
node_major_min=20 # what Helia needs

# command -> Debian package
needs=("node:nodejs" "npm:npm" "curl:curl" "wget:wget" "aria2c:aria2")

missing=()
for need in "${needs[@]}"; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "not installed: ${missing[*]}. Install: sudo apt-get install ${missing[*]}" >&2
        exit 2
    fi
    echo "installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

node_major="$(node --version | sed 's/^v\([0-9]*\).*/\1/')"
if [ "$node_major" -lt "$node_major_min" ]; then
    echo "Helia needs Node $node_major_min or newer, this is $(node --version)." >&2
    exit 2
fi

# Once per lock file: the mark is inside what it speaks of, so removing the packages removes it too.
mark="$suite/node_modules/.installed"
wanted="$(sha256sum "$suite/package-lock.json")"
if [ "$(cat "$mark" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the npm packages of $suite/package-lock.json"
    npm ci --prefix "$suite" --loglevel=error
    echo "$wanted" >"$mark"
fi
