#!/usr/bin/env bash
# Makes what a release publishes, for x86_64 and an old glibc: archive, package, wheel, list of components, checksums.
#
#   deploy/release.sh FOLDER
#
# Zig links against the glibc that GLIBC names (default 2.28: RHEL 8, Debian 10, Ubuntu 20.04 and all later), whatever this machine has. Needs
# cargo-zigbuild, ziglang and maturin (pip install cargo-zigbuild ziglang maturin) and dpkg-dev, and half an hour: all is compiled anew, in a target
# folder of its own. TARGET=aarch64-unknown-linux-gnu makes those for ARM on such a machine, since pages and completions are asked of the program.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
target="${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}"
glibc="${GLIBC:-2.28}"
mkdir -p "$1"
out=$(cd "$1" && pwd)
for tool in cargo-zigbuild maturin dpkg-deb objdump; do
    command -v "$tool" > /dev/null || { echo "$0: needs $tool and did not find it" >&2; exit 1; }
done
export CARGO_TARGET_DIR="${RELEASE_TARGET_DIR:-$PWD/target/zig}"

cargo zigbuild --release --locked --bin tidelake --target "$target.$glibc"
binary="$CARGO_TARGET_DIR/$target/release/tidelake"
newest=$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
if [ "$(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | tail -n 1)" != "GLIBC_$glibc" ]; then
    echo "$0: the program needs $newest, and was to need no more than $glibc" >&2
    exit 1
fi

deploy/archive.sh "$binary" "$out" "$target"
deploy/deb.sh "$binary" "$out"
wheel=$(deploy/wheel.sh --strip "$out" --zig --target "$target" --compatibility "manylinux_${glibc/./_}")
deploy/sbom.sh "$wheel" "$out"
(cd "$out" && sha256sum tidelake[-_]* > SHA256SUMS)
ls -l "$out"
