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
"$assets/upstreamd" man | gzip -9n >"$assets/upstreamd.1.gz"
"$assets/upstreamd" completions bash >"$assets/upstreamd.bash"
"$assets/upstreamd" completions zsh >"$assets/_upstreamd"
"$assets/upstreamd" completions fish >"$assets/upstreamd.fish"
cargo deb --no-build --locked
