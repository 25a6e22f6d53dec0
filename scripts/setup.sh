#!/bin/sh
# Installs what building, testing and the demo need on Debian, and nothing that is there already.
# Says in one line what it installs. Starts no service and disturbs none that runs. Safe to run twice, and two at once.
#
# usage: scripts/setup.sh              as any user; asks sudo where something must be installed
#        scripts/setup.sh --packages   the part that needs root
set -eu

PATH=$PATH:/usr/sbin:/sbin
lock=/run/lock/upstreamd-setup.lock
policy=/usr/sbin/policy-rc.d
policy_before=/usr/sbin/policy-rc.d.before-upstreamd-setup
policy_mark='upstreamd setup put this here'

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

has_nginx_stream() {
    [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || nginx -V 2>&1 | grep -Eq -e '--with-stream( |$)'
}

# Programs are looked for, not packages: an etcd in /usr/local/bin or nginx's own packages do as well.
missing_packages() {
    has cc || echo gcc libc6-dev
    has nginx || echo nginx
    has nginx && has_nginx_stream || echo libnginx-mod-stream
    has etcd || echo etcd-server
    has etcdctl || echo etcd-client
    has openssl || echo openssl
    has dig || echo bind9-dnsutils
    has promtool || echo prometheus
    has kdig || echo knot-dnsutils
    has chromium || echo chromium
    has zsh || echo zsh
    has fish || echo fish
    has protoc || echo protobuf-compiler
    [ -e /usr/include/google/protobuf/timestamp.proto ] || echo libprotobuf-dev
    has python3 && python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

apt() {
    DEBIAN_FRONTEND=noninteractive $alone apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
        >>"$log" 2>&1 </dev/null
}

# Debian's packages start their services; a policy-rc.d that answers 101 keeps them from it. Ours holds only as long as
# this script holds its lock: were the script killed, it would from then on answer as if it were not there.
deny_services() {
    if [ -e "$policy" ] && ! grep -q "$policy_mark" "$policy"; then
        mv "$policy" "$policy_before"
    fi
    cat >"$policy.new" <<EOF
#!/bin/sh
# $policy_mark for the length of an install; it may be deleted.
if flock --nonblock $lock true; then
    [ ! -x $policy_before ] || exec $policy_before "\$@"
    exit 0
fi
exit 101
EOF
    chmod 755 "$policy.new"
    mv "$policy.new" "$policy"
}

allow_services() {
    rm -f "$policy.new"
    if [ -e "$policy" ] && grep -q "$policy_mark" "$policy"; then
        rm -f "$policy"
    fi
    if [ -e "$policy_before" ] && [ ! -e "$policy" ]; then
        mv "$policy_before" "$policy"
    fi
}

install_packages() {
    has apt-get || fail "this system has no apt-get; please install by hand what Debian calls:" $(missing_packages)
    mkdir -p "${lock%/*}"
    exec 9>"$lock"
    flock --wait 1800 9 || fail "another setup has been running for half an hour (lock: $lock)"
    allow_services
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0 # another setup has done it meanwhile
    echo "setup: installing" $packages "(no service is started)"
    log=$(mktemp)
    trap 'allow_services; rm -f "$log"' EXIT
    trap 'exit 130' INT HUP TERM
    # Downloading may be interrupted; unpacking may not, or dpkg would be left half done. It minds Ctrl-C even where that
    # is ignored, so it runs in a session of its own.
    alone=
    if ! apt install --download-only $packages; then
        apt update && apt install --download-only $packages || failed_install
    fi
    trap '' INT HUP TERM
    alone='setsid --wait'
    deny_services
    status=0
    apt install $packages || status=$?
    allow_services
    trap - INT HUP TERM
    [ "$status" = 0 ] || failed_install
    [ -z "$(missing_packages)" ] || fail "installed, and still missing:" $(missing_packages)
}

failed_install() {
    tail -n 20 "$log" >&2
    fail "cannot install" $packages
}

if [ "${1-}" = --packages ]; then
    install_packages
    exit 0
fi

if ! has cargo && ! [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    fail "Rust is missing; get it from https://rustup.rs and run this again"
fi
[ -n "$(missing_packages)" ] || [ -e "$policy_before" ] || grep -qs "$policy_mark" "$policy" || exit 0
if [ "$(id -u)" = 0 ]; then
    install_packages
elif has sudo; then
    exec sudo sh "$0" --packages
else
    fail "root or sudo is needed to install:" $(missing_packages)
fi
