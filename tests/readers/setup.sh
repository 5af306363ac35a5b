#!/usr/bin/env bash
# Makes a Python environment with the independent readers of Delta tables and an independent Kafka client, and of what models are held against.
#
#   tests/readers/setup.sh DIR      makes it in DIR and prints the path of its Python
#
#   $(tests/readers/setup.sh DIR) tests/readers/compare.py TABLE_DIR
#
# Needs Python 3.11 or newer with venv and, the first time, a package index it can
# reach; takes 1.6 GB on disk. Running it again does nothing, unless
# requirements.txt changed or the last run did not finish: a stamp with its checksum
# is written last.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
stamp="$dir/requirements.stamp"
checksum=$(sha256sum "$here/requirements.txt" | cut -d ' ' -f 1)

if [ "$(cat "$stamp" 2>/dev/null || true)" != "$checksum" ]; then
    # What an older requirements.txt brought must not stay beside the new; but what
    # is in DIR and was not made here is not ours to clear.
    if [ -n "$(ls -A "$dir")" ] && [ ! -e "$dir/pyvenv.cfg" ]; then
        echo "$0: $dir is not empty and is no Python environment" >&2
        exit 2
    fi
    python3 -m venv --clear "$dir"
    "$dir/bin/python" -m pip install -q --disable-pip-version-check \
        -r "$here/requirements.txt" >&2
    echo "$checksum" > "$stamp"
fi
echo "$dir/bin/python"
