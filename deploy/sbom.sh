#!/usr/bin/env bash
# Takes the list of what the program is made of out of its wheel: CycloneDX, the crates with versions and licences.
#
#   deploy/sbom.sh WHEEL FOLDER      writes FOLDER/tidelake-VERSION.cdx.json and prints its path
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: $0 WHEEL FOLDER" >&2
    exit 2
fi
mkdir -p "$2"
version=$(basename "$1" | cut -d - -f 2)
to="$2/tidelake-$version.cdx.json"
python3 - "$1" "$to" << 'EOF'
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    lists = [it for it in wheel.namelist() if ".dist-info/sboms/" in it]
    if len(lists) != 1:
        sys.exit(f"{sys.argv[1]}: has {len(lists)} lists of components, and is to have one")
    with open(sys.argv[2], "wb") as to:
        to.write(wheel.read(lists[0]))
EOF
echo "$to"
