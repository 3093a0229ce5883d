#!/usr/bin/env bash
# The one place that lists what tests and benchmarks need from the system. Debian and its relatives; as root it
# installs what is missing, else it says what to install. Tests that need an absent program skip and print why.
set -euo pipefail

# command -> Debian package, and what it is for
needs=(
    "chromium:chromium:the browser tests"
    "nginx:nginx-light:HTTP sources in tests, the rival in benchmarks"
    "wrk:wrk:HTTP load in benchmarks"
)

missing=()
for need in "${needs[@]}"; do
    IFS=: read -r program package purpose <<<"$need"
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A service that starts at installation would sit on port 80: policy-rc.d forbids it for this run.
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod +x "$guard"
        trap 'rm -f "$guard"' EXIT
    fi
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "not installed: ${missing[*]} - some tests will be skipped. Install: sudo apt-get install ${missing[*]}"
fi
