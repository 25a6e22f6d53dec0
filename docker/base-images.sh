#!/bin/sh
# Makes stand-ins for the public base images if no image registry can be reached: Debian 12 by debootstrap, and the same with
# this machine's Rust toolchain and CA certificates. Kept as long as the engine keeps them.
#
# usage: docker/base-images.sh           as root; prints the build arguments that name the two images
#        docker/base-images.sh --base    only Debian 12
set -eu

base=upstreamd-base/debian:bookworm-slim
builder=upstreamd-base/rust:1-bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

fail() {
    printf 'base-images: %s\n' "$*" >&2
    exit 1
}

has_image() {
    docker image inspect "$1" >/dev/null 2>&1
}

command -v docker >/dev/null || fail "there is no docker command"
docker version >/dev/null 2>&1 || fail "no Docker engine answers"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM HUP

if ! has_image "$base"; then
    [ "$(id -u)" = 0 ] || fail "debootstrap needs root"
    command -v debootstrap >/dev/null || apt-get -qq -y --no-install-recommends install debootstrap >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        fail "cannot install debootstrap"
    }
    echo "base-images: making $base" >&2
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$mirror" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        fail "debootstrap failed"
    }
    # The public image leaves these out too.
    rm -rf "$work/root/var/cache/apt/archives/"*.deb "$work/root/var/lib/apt/lists/"* "$work/root/usr/share/doc/"* \
        "$work/root/usr/share/man/"* "$work/root/usr/share/locale/"*
    cat >"$work/root/etc/apt/sources.list" <<SOURCES
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${mirror%/debian}/debian-security bookworm-security main
SOURCES
    tar -C "$work/root" -c . | docker import --change 'CMD ["bash"]' - "$base" >/dev/null
fi

if [ "${1-}" = --base ]; then
    echo "--build-arg BASE=$base"
    exit 0
fi

if ! has_image "$builder"; then
    echo "base-images: making $builder" >&2
    sysroot=$(rustc --print sysroot) || fail "there is no Rust toolchain"
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    mkdir -p "$work/builder/toolchain"
    cp -a "$sysroot/bin" "$sysroot/lib" "$work/builder/toolchain/"
    rm -rf "$work/builder/toolchain/lib/rustlib/src" "$work/builder/toolchain/share"
    cp /etc/ssl/certs/ca-certificates.crt "$work/builder/"
    # How this machine reaches crates.io, if not in the usual way.
    if [ -e "$cargo_home/config.toml" ]; then
        cp "$cargo_home/config.toml" "$work/builder/config.toml"
    else
        : >"$work/builder/config.toml"
    fi
    cat >"$work/builder/Dockerfile" <<DOCKERFILE
FROM $base
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY config.toml /usr/local/cargo/config.toml
COPY toolchain /usr/local/rustup/toolchain
ENV PATH=/usr/local/rustup/toolchain/bin:/usr/local/cargo/bin:\$PATH CARGO_HOME=/usr/local/cargo
DOCKERFILE
    DOCKER_BUILDKIT=0 docker build -q -t "$builder" "$work/builder" >/dev/null || fail "cannot build $builder"
fi

echo "--build-arg BASE=$base --build-arg BUILDER=$builder"
