#!/bin/sh
# Makes the Debian package: target/debian/*.deb. Needs cargo-deb (`cargo install cargo-deb --locked`).
#
# usage: scripts/package.sh [PROGRAM]    PROGRAM is packed as it is instead of a release build
set -eu
cd "$(dirname "$0")/.."
program=${1:-}
if [ -z "$program" ]; then
    cargo build --release --locked --bin upstreamd
    program=target/release/upstreamd
fi
assets=target/package
rm -rf "$assets"
mkdir -p "$assets"
cp "$program" "$assets/upstreamd"
sh scripts/pages.sh "$assets/upstreamd" "$assets" "$assets"
cargo deb --no-build --locked
