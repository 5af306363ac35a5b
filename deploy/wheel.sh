#!/usr/bin/env bash
# Makes the wheel that carries the program, which pip and uv install without a compiler.
#
#   deploy/wheel.sh [--strip] FOLDER [CARGO OPTIONS…]      writes FOLDER/tidelake-*.whl and prints its path
#
# It builds by `cargo --release`, so what was built by hand before is taken as it is. --strip links once more, without symbols:
# a third smaller, for what is published. The wheel's platform tag names the oldest glibc that the program runs with, which maturin reads
# from the program itself; `deploy/release.sh` makes one for old systems. MATURIN names another maturin than that on the PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

strip=false
if [ "${1:-}" = --strip ]; then strip=true; shift; fi
if [ $# -lt 1 ]; then
    echo "usage: $0 [--strip] FOLDER [CARGO OPTIONS…]" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
maturin="${MATURIN:-maturin}"
command -v "$maturin" > /dev/null || { echo "$0: needs maturin and did not find $maturin; pip install maturin, or set MATURIN" >&2; exit 1; }
rm -f "$out"/tidelake-*.whl
"$maturin" build --release --locked --strip "$strip" --out "$out" "$@" >&2
ls "$out"/tidelake-*.whl
