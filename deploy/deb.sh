#!/usr/bin/env bash
# Makes the package for Debian and Ubuntu, of a program that is built already.
#
#   deploy/deb.sh BINARY FOLDER      writes FOLDER/tidelake_VERSION_ARCH.deb and prints its path
#
# Needs dpkg-dev. Nothing in it depends on the time: the same program gives the same package. Manual pages and completions are asked
# of the program itself, so a package for another architecture is made there, or with an emulator registered for it.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -ne 2 ]; then
    echo "usage: $0 BINARY FOLDER" >&2
    exit 2
fi
binary=$(realpath "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
for tool in dpkg-deb dpkg-shlibdeps strip gzip; do
    command -v "$tool" > /dev/null || { echo "$0: needs $tool and did not find it; apt-get install dpkg-dev binutils" >&2; exit 1; }
done
# A date of its own is what makes two builds differ.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}"
version=$("$binary" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
# Whoever publishes it names an address that takes mail.
maintainer="${DEB_MAINTAINER:-The Tidelake authors <tidelake@localhost>}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/debian/tidelake"
doc="$root/usr/share/doc/tidelake"
umask 022

install -D -m 755 "$binary" "$root/usr/bin/tidelake"
strip --strip-unneeded "$root/usr/bin/tidelake"
install -d "$root/usr/share/tidelake" "$doc"
cp -R dataflows "$root/usr/share/tidelake/"
install -D -m 644 deploy/systemd/tidelake.service "$root/usr/lib/systemd/system/tidelake.service"
install -D -m 644 deploy/systemd/tidelake.sysusers "$root/usr/lib/sysusers.d/tidelake.conf"
install -D -m 644 deploy/systemd/tidelake.default "$root/etc/default/tidelake"
install -D -m 644 deploy/systemd/tidelake.toml "$root/etc/tidelake/tidelake.toml"

# In an empty folder: a tidelake.toml of whoever builds has no part in it.
asked() { (cd "$work" && "$binary" "$@"); }
asked man --out "$root/usr/share/man/man1"
gzip --no-name --best "$root/usr/share/man/man1"/*.1
for of in bash:bash-completion/completions/tidelake zsh:zsh/vendor-completions/_tidelake fish:fish/vendor_completions.d/tidelake.fish; do
    to="$root/usr/share/${of#*:}"
    install -d "$(dirname "$to")"
    asked completions "${of%%:*}" > "$to"
done

install -m 644 README.md SECURITY.md "$doc/"
gzip --no-name --best --stdout CHANGELOG.md > "$doc/CHANGELOG.md.gz"
printf 'tidelake (%s) stable; urgency=medium\n\n  * What changed is in CHANGELOG.md.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date --utc --date "@$SOURCE_DATE_EPOCH" -R)" | gzip --no-name --best > "$doc/changelog.gz"
printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2026 The Tidelake authors\nLicense: Expat\n%s\n' \
    "$(sed -e '1,/^$/{/^MIT License$/d}' -e 's/^$/./' -e 's/^/ /' LICENSE)" > "$doc/copyright"

# Libraries that the program needs, in the versions that it asks for.
printf 'Source: tidelake\n\nPackage: tidelake\nArchitecture: any\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O debian/tidelake/usr/bin/tidelake | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "$0: dpkg-shlibdeps told no libraries for $binary" >&2; exit 1; }

control="$root/DEBIAN"
install -d "$control"
install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$control/"
printf '/etc/default/tidelake\n/etc/tidelake/tidelake.toml\n' > "$control/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$control/md5sums"
cat > "$control/control" << EOF
Package: tidelake
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -k -s --apparent-size "$root" | cut -f 1)
Depends: $depends, systemd | systemd-standalone-sysusers
Recommends: ca-certificates
Section: database
Priority: optional
Description: live, exact views and a Delta lake from log topics
 Records of Kafka partitions, or of growing files, keep SQL views up to date
 as they come. Every few seconds what was read is committed to Delta tables,
 exactly once. One program with its API and page, and a systemd service that
 is enabled by hand.
EOF
find "$root" -print0 | xargs -0 touch --no-dereference --date "@$SOURCE_DATE_EPOCH"
package="$out/tidelake_${version}_$architecture.deb"
compression=(-Zxz "-z${COMPRESSION_LEVEL:-6}")
[ "${COMPRESSION_LEVEL:-}" != 0 ] || compression=(-Znone)
dpkg-deb --root-owner-group "${compression[@]}" --build "$root" "$package" >&2
echo "$package"
