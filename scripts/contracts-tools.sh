#!/usr/bin/env bash
# Installs what compiles the contracts: the npm packages of contracts/package-lock.json, and Node from Debian where it is
# missing and this runs as root; else it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
room=contracts
node_major_min=20

missing=()
for need in node:nodejs npm:npm; do
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
    echo "compiling the contracts needs Node $node_major_min or newer, this is $(node --version)." >&2
    exit 2
fi

# Once per lock file: the mark is inside what it speaks of, so removing the packages removes it too.
mark="$room/node_modules/.installed"
wanted="$(sha256sum "$room/package-lock.json")"
if [ "$(cat "$mark" 2>/dev/null)" != "$wanted" ]; then
    echo "installing the npm packages of $room/package-lock.json"
    npm ci --prefix "$room" --loglevel=error
    echo "$wanted" >"$mark"
fi
