#!/bin/sh
# Runs the units, and the Debian package where `cargo deb` is there, under a real systemd in a container made for it.
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
exec cargo test --locked --test it -- --ignored --test-threads=1 systemd::
