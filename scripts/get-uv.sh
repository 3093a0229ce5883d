#!/usr/bin/env bash
# Puts uv into .tools: the only thing installed by pip; uv installs the rest from the lock file.
set -euo pipefail
python="${PYTHON:-python3}"
version="0.13.8"

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Nearcast needs Python 3.11 or newer, $python is $("$python" -V 2>&1). Set another: make PYTHON=python3.12" >&2
    exit 2
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
        echo "$python cannot make virtual environments. Install its venv module: sudo apt-get install python3-venv" >&2
        exit 2
    fi
fi
"$python" -m venv .tools
.tools/bin/pip install --quiet --disable-pip-version-check "uv==$version"
