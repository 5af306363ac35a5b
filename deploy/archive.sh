#!/usr/bin/env bash
# Makes an archive of a program that is built already, with manual pages, completions and the service.
#
#   deploy/archive.sh BINARY FOLDER [TARGET]      writes FOLDER/tidelake-VERSION-TARGET.tar.gz and prints its path
#
# The same program gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 BINARY FOLDER [TARGET]" >&2
    exit 2
fi
binary=$(realpath "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
target="${3:-$(rustc -vV | sed -n 's/^host: //p')}"
version=$("$binary" --version | cut -d ' ' -f 2)
name="tidelake-$version-$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

install -D -m 755 "$binary" "$work/$name/tidelake"
strip --strip-unneeded "$work/$name/tidelake"
# In an empty folder: a tidelake.toml of whoever builds has no part in it.
asked() { (cd "$work" && "$binary" "$@"); }
asked man --out "$work/$name/man/man1"
install -d "$work/$name/completions"
for shell in bash zsh fish; do
    asked completions "$shell" > "$work/$name/completions/tidelake.$shell"
done
cp -R deploy/systemd "$work/$name/systemd"
cp -R dataflows "$work/$name/dataflows"
cp README.md CHANGELOG.md SECURITY.md LICENSE "$work/$name/"

date="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}"
tar --directory "$work" --sort name --owner 0 --group 0 --numeric-owner --mtime "@$date" --create "$name" | gzip --no-name "-${COMPRESSION_LEVEL:-9}" > "$out/$name.tar.gz"
echo "$out/$name.tar.gz"
