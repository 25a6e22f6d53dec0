#!/bin/sh
# Runs the cluster of docker/compose.yaml under load on this machine's Docker engine; see examples/cluster. If the public base
# images cannot be pulled, it builds from stand-ins.
#
# usage: docker/cluster-test.sh [--keep] [--only PHASE]
set -eu
cd "$(dirname "$0")/.."

if ! docker version >/dev/null 2>&1; then
    echo "cluster-test: no Docker engine answers on this machine; nothing was tested" >&2
    exit 1
fi
if [ -z "${UPSTREAMD_BASE-}${UPSTREAMD_BUILDER-}" ]; then
    if ! docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
        echo "cluster-test: the public base images cannot be pulled; building from stand-ins" >&2
        sh docker/base-images.sh >/dev/null
        UPSTREAMD_BASE=upstreamd-base/debian:bookworm-slim
        UPSTREAMD_BUILDER=upstreamd-base/rust:1-bookworm
        export UPSTREAMD_BASE UPSTREAMD_BUILDER
    fi
fi
exec cargo run --locked --quiet --example cluster -- "$@"
