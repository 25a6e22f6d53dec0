#!/bin/sh
# Runs the program of the tarball where nothing of this system is: in an image with nothing else, in one with a shell but no C library
# (as Alpine and distroless images look to it), and in a Debian that is older than the build. Over its checksums first.
#
# usage: scripts/dist-test.sh    as root, needs a Docker engine; makes the tarball if there is none
set -eu
cd "$(dirname "$0")/.."
limit=9000000
docker version >/dev/null 2>&1 || {
    echo "dist-test: no Docker engine answers; nothing was tested" >&2
    exit 1
}
ls target/dist/*.tar.gz >/dev/null 2>&1 || sh scripts/dist.sh
work=$(mktemp -d)
tag=upstreamd-dist-test-$$
network=
cleanup() {
    docker rm -f "$tag-etcd" >/dev/null 2>&1 || :
    [ -z "$network" ] || docker network rm "$network" >/dev/null 2>&1 || :
    docker rmi -f "$tag:empty" "$tag:shell" "$tag:older" "$tag:etcd" >/dev/null 2>&1 || :
    rm -rf "$work"
}
trap cleanup EXIT INT TERM HUP
fail() {
    echo "dist-test: $*" >&2
    exit 1
}
image() {
    DOCKER_BUILDKIT=0 docker build -q "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "cannot build an image"
    }
}
ok() { echo "dist-test: ok: $*"; }

(cd target/dist && sha256sum --quiet -c ./*.sha256) || fail "the checksum of the tarball is wrong"
tar -C "$work" -xzf target/dist/*.tar.gz
folder=$(echo "$work"/upstreamd-*)
(cd "$folder" && sha256sum --quiet -c SHA256SUMS) || fail "a checksum in the tarball is wrong"
bytes=$(wc -c <"$folder/upstreamd")
[ "$bytes" -le "$limit" ] || fail "the program has $bytes bytes, more than $limit"
ok "checksums; the program has $bytes bytes"

# A confdir whose one file needs an account by name, a template and a value.
mkdir -p "$work/etc/conf.d" "$work/etc/templates" "$work/out"
printf '[template]\nsrc = "a.tmpl"\ndest = "/out/a"\nkeys = ["/a"]\nowner = "web"\n' >"$work/etc/conf.d/a.toml"
printf '{{getv "/a"}}\n' >"$work/etc/templates/a.tmpl"
printf 'root:x:0:0::/:/\nweb:x:4711:4711::/:/\n' >"$work/passwd"

# run IMAGE ARGUMENT...: the program in this image, over that confdir.
run() {
    image=$1
    shift
    rm -f "$work/out/a"
    docker run --rm --network none -e A=one -v "$work/etc:/etc/upstreamd:ro" -v "$work/out:/out" "$image" "$@" \
        >"$work/log" 2>&1
}
# wrote IMAGE WHAT: the file is there, and its owner's number came from the image's /etc/passwd.
wrote() {
    [ "$(cat "$work/out/a" 2>/dev/null)" = one ] && [ "$(stat -c %u "$work/out/a")" = 4711 ] || {
        cat "$work/log" >&2
        fail "$1: did not write the file as it should"
    }
    ok "$1: renders from the environment, for an owner by name"
}

mkdir "$work/empty"
cp "$folder/upstreamd" "$work/empty/"
cp "$work/passwd" "$work/empty/passwd"
printf 'FROM scratch\nCOPY upstreamd /upstreamd\nCOPY passwd /etc/passwd\nENTRYPOINT ["/upstreamd"]\n' >"$work/empty/Dockerfile"
image -t "$tag:empty" "$work/empty"
run "$tag:empty" -onetime -backend env || { cat "$work/log" >&2; fail "empty image: exit code $?"; }
wrote "empty image"
run "$tag:empty" -onetime -backend env -- /upstreamd --version || { cat "$work/log" >&2; fail "empty image: no exec"; }
grep -q '^upstreamd ' "$work/log" || fail "empty image: it did not become the command"
ok "empty image: becomes the command behind --"

# A root with nothing in it but the program and its files: no /dev, no /proc. Both kinds of templates, because Tera wants random numbers.
bare=$work/bare
mkdir -p "$bare/etc/upstreamd/conf.d" "$bare/etc/upstreamd/templates" "$bare/out"
cp "$folder/upstreamd" "$bare/"
printf '{{ getv(key="/a") }}\n' >"$bare/etc/upstreamd/templates/a.tera"
printf '{{getv "/a"}}\n' >"$bare/etc/upstreamd/templates/a.tmpl"
for kind in tera tmpl; do
    printf '[template]\nsrc = "a.%s"\ndest = "/out/%s"\nkeys = ["/a"]\n' $kind $kind >"$bare/etc/upstreamd/conf.d/$kind.toml"
done
A=one chroot "$bare" /upstreamd -onetime -backend env >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "bare root: exit code $?"; }
[ "$(cat "$bare/out/tera" "$bare/out/tmpl")" = "one
one" ] || fail "bare root: did not write its files"
ok "a root without /dev and /proc: renders both kinds of templates"

# A static busybox is all of the user space that Alpine has, but for the C library.
busybox=$(command -v busybox || :)
if [ -z "$busybox" ] || readelf -d "$busybox" 2>/dev/null | grep -q NEEDED; then
    (cd "$work" && apt-get -qq download busybox-static >/dev/null 2>&1 && dpkg-deb -x busybox-static_*.deb busybox) || fail "there is no static busybox"
    busybox=$work/busybox/bin/busybox
fi
mkdir "$work/shell"
cp "$folder/upstreamd" "$work/passwd" "$work/shell/"
cp "$busybox" "$work/shell/busybox"
printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nCOPY upstreamd /usr/bin/upstreamd\nCOPY passwd /etc/passwd\n' >"$work/shell/Dockerfile"
image -t "$tag:shell" "$work/shell"
printf 'check_cmd = "grep -q one {{.src}}"\nreload_cmd = "echo reloaded > /out/reloaded"\n' >>"$work/etc/conf.d/a.toml"
run "$tag:shell" /bin/sh -ec 'upstreamd -onetime -backend env && cat /out/reloaded' || { cat "$work/log" >&2; fail "image without a C library: exit code $?"; }
wrote "image without a C library"
grep -q '^reloaded' "$work/log" || fail "image without a C library: the reload command did not run"
ok "image without a C library: check and reload commands"

# An older Debian, with a name server of the Docker network: names of nodes are looked up as the system says.
older=upstreamd-base/debian:bullseye-slim
if ! docker image inspect "$older" >/dev/null 2>&1; then
    docker pull -q debian:bullseye-slim >/dev/null 2>&1 && docker tag debian:bullseye-slim "$older" || {
        echo "dist-test: debian:bullseye-slim cannot be pulled; making a stand-in" >&2
        command -v debootstrap >/dev/null || apt-get -qq -y --no-install-recommends install debootstrap >/dev/null
        debootstrap --variant=minbase bullseye "$work/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || {
            tail -n 20 "$work/log" >&2
            fail "debootstrap failed"
        }
        tar -C "$work/root" -c . | docker import - "$older" >/dev/null
    }
fi
mkdir "$work/older" && cp "$folder/upstreamd" "$work/older/"
printf 'FROM %s\nCOPY upstreamd /usr/bin/upstreamd\nRUN echo web:x:4711:4711::/:/ >>/etc/passwd\n' "$older" >"$work/older/Dockerfile"
image -t "$tag:older" "$work/older"
run "$tag:older" upstreamd -onetime -backend env || { cat "$work/log" >&2; fail "older Debian: exit code $?"; }
wrote "older Debian (glibc $(docker run --rm --network none "$tag:older" ldd --version | head -n 1 | grep -o '[0-9.]*$'))"

network=$tag
docker network create "$network" >/dev/null
mkdir "$work/etcd"
cp "$(command -v etcd)" "$(command -v etcdctl)" "$work/etcd/"
base=debian:bookworm-slim
docker pull -q "$base" >/dev/null 2>&1 || base=$(sh docker/base-images.sh --base | sed 's/.*BASE=//')
printf 'FROM %s\nCOPY etcd etcdctl /usr/bin/\n' "$base" >"$work/etcd/Dockerfile"
image -t "$tag:etcd" "$work/etcd"
docker run -d --rm --name "$tag-etcd" --network "$network" --network-alias store "$tag:etcd" etcd --data-dir /data \
    --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://store:2379 >/dev/null
for try in $(seq 100); do
    docker exec -e ETCDCTL_API=3 "$tag-etcd" etcdctl put /a one >/dev/null 2>&1 && break
    [ "$try" != 100 ] || fail "etcd does not start: $(docker logs "$tag-etcd" 2>&1 | tail -n 5)"
    sleep 0.1
done
for image in older shell empty; do
    program=upstreamd
    [ "$image" != empty ] || program=
    rm -f "$work/out/a"
    [ "$image" != empty ] || sed -i '/_cmd/d' "$work/etc/conf.d/a.toml"
    # shellcheck disable=SC2086
    docker run --rm --network "$network" -v "$work/etc:/etc/upstreamd:ro" -v "$work/out:/out" "$tag:$image" \
        $program -onetime -backend etcdv3 -node http://store:2379 >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$image: exit code $?"; }
    wrote "$image image: from etcd by its name"
done
