#!/bin/sh
# Runs the units, and the Debian package if `cargo deb` is there to make it, under a real systemd in a container made for it.
#
# usage: scripts/systemd-test.sh    needs a Docker engine; BASE=… names another Debian 12 image than debian:bookworm-slim
set -eu
cd "$(dirname "$0")/.."
if ! docker version >/dev/null 2>&1; then
    echo "systemd-test: no Docker engine answers; nothing was tested" >&2
    exit 1
fi
base=${BASE:-}
if [ -z "$base" ] && ! docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
    echo "systemd-test: debian:bookworm-slim cannot be pulled; building from a stand-in" >&2
    sh docker/base-images.sh --base >/dev/null
    base=upstreamd-base/debian:bookworm-slim
fi
echo "systemd-test: building the image upstreamd-test/systemd"
docker build -q --network host ${base:+--build-arg BASE="$base"} -t upstreamd-test/systemd tests/systemd
echo "systemd-test: building the programs"
cargo build --locked --bins
skip=
if cargo deb --version >/dev/null 2>&1; then
    # The program that the other tests run too, without what only a debugger reads.
    program=target/debug/upstreamd
    if command -v strip >/dev/null; then
        strip -o target/debug/upstreamd.stripped "$program"
        program=target/debug/upstreamd.stripped
    fi
    echo "systemd-test: making the package"
    sh scripts/package.sh "$program"
else
    echo "systemd-test: without cargo-deb (cargo install cargo-deb --locked) the package is not tested" >&2
    skip="--skip the_package"
fi
# shellcheck disable=SC2086
exec cargo test --locked --test it -- --ignored --test-threads=1 $skip systemd::
