#!/usr/bin/env bash
# Fetches the jars of the Kafka broker that the tests run against.
#
#   tests/kafka/fetch.sh DIR        puts them in DIR/jars and prints that path
#
# Needs Maven and, the first time, a package repository it can reach. Running it
# again does nothing, unless pom.xml changed or the last run did not finish: a
# stamp with the pom's checksum is written last.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: $0 DIR" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
jars="$dir/jars"
stamp="$dir/jars.stamp"
checksum=$(sha256sum "$here/pom.xml" | cut -d ' ' -f 1)

if [ "$(cat "$stamp" 2>/dev/null || true)" != "$checksum" ]; then
    # Jars of an older pom must not stay beside the new ones on the class path.
    rm -rf "$stamp" "$jars"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$jars" >&2
    echo "$checksum" > "$stamp"
fi
echo "$jars"
