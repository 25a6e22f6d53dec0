#!/bin/sh
# Runs the units, and the Debian package where `cargo deb` is there to make it, under a real systemd in a container made for it.
#
# usage: scripts/systemd-test.sh    needs a Docker engine; BASE=… names another Debian 12 image than debian:bookworm-slim
set -eu
cd "$(dirname "$0")/.."
if ! docker version >/dev/null 2>&1; then
    echo "systemd-test: no Docker engine answers; the units are tested where one does" >&2
    exit 1
fi
base=${BASE:-}
# The stand-in where no registry can be reached.
if [ -z "$base" ] && docker image inspect upstreamd-base/debian:bookworm-slim >/dev/null 2>&1; then
    base=upstreamd-base/debian:bookworm-slim
fi
docker build --network host ${base:+--build-arg BASE="$base"} -t upstreamd-test/systemd tests/systemd
cargo build --locked --bins
skip=
if cargo deb --version >/dev/null 2>&1; then
    # The program that the other tests run too, without what only a debugger reads.
    program=target/debug/upstreamd
    if command -v strip >/dev/null; then
        strip -o target/debug/upstreamd.stripped "$program"
        program=target/debug/upstreamd.stripped
    fi
    sh scripts/package.sh "$program"
else
    echo "systemd-test: without cargo-deb (cargo install cargo-deb --locked) the package is not tested" >&2
    skip="--skip the_package"
fi
# shellcheck disable=SC2086
exec cargo test --locked --test it -- --ignored --test-threads=1 $skip systemd::
