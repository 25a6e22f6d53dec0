#!/bin/sh
# Makes the tarball for every Linux: target/dist/upstreamd-VERSION-ARCH-linux.tar.gz and its checksum. The program in it is static: it
# needs no library of the system that it runs on.
#
# usage: scripts/dist.sh
set -eu
cd "$(dirname "$0")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=upstreamd-$version-${target%%-*}-linux
# With --target, so that the flags are those of the program and not of what builds it.
# getrandom is linked, not looked up: a static program finds no symbol while it runs, and would read /dev/random, which a root that was
# made for one program may not have.
flags="--cfg getrandom_backend=\"linux_getrandom\" -C target-feature=+crt-static -C link-arg=-Wl,-T,$PWD/packaging/static.ld -C link-arg=-Wl,--no-eh-frame-hdr"
# Places in the source name the package, and not its folder on the machine that builds, of which the program would have 785 copies.
cargo fetch --locked --quiet
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    flags="$flags --remap-path-prefix=$registry="
done
# What unwinds a panic is 3 MB (tables 2.0, code 1.1): here a render that panics stops its thread instead (src/world/panics.rs).
# Without the exceptions for crates that are large when they are built for speed.
set --
for crate in ahash hashbrown hickory-proto sha2 memchr imbl indexmap; do
    set -- "$@" --config "profile.release.package.$crate.opt-level=\"z\""
done
CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_PROFILE_RELEASE_PANIC=abort RUSTFLAGS="${RUSTFLAGS:-} $flags" \
    cargo build --release --locked --bin upstreamd --target "$target" "$@"
program=target/$target/release/upstreamd
if readelf -d "$program" | grep -q NEEDED; then
    echo "dist: $program needs libraries; it was to be static" >&2
    exit 1
fi

dist=target/dist
rm -rf "$dist"
mkdir -p "$dist/$name/completions" "$dist/$name/man" "$dist/$name/systemd" "$dist/$name/examples"
cp "$program" "$dist/$name/"
sh scripts/pages.sh "$program" "$dist/$name/man" "$dist/$name/completions"
cp systemd/*.service systemd/*.socket "$dist/$name/systemd/"
# What README.md has links to, so that they lead somewhere: a test compares.
cp -R conf.d templates docs monitoring README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE "$dist/$name/"
cp -R examples/quickstart examples/endpoints "$dist/$name/examples/"
(cd "$dist/$name" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
# The same bytes for the same source: names in order, nobody's name, the commit's time.
time=$(git log -1 --format=%ct 2>/dev/null || echo 0)
tar -C "$dist" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
(cd "$dist" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
rm -rf "${dist:?}/$name"
echo "dist: $dist/$name.tar.gz, $(wc -c <"$dist/$name.tar.gz") bytes; the program alone: $(wc -c <"$program") bytes"
