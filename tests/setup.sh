#!/usr/bin/env bash
# Sets up a machine that has Rust, a C compiler and make for `make test`.
#
#     setup.sh           everything that `make test` needs
#     setup.sh python    what the virtual environment needs (`make check`)
#
# It installs missing Debian packages where it may: as root, or with a sudo that asks for no password.
# Otherwise it stops and prints the one command that installs them. It changes nothing on a machine that
# has everything.
set -euo pipefail

what=${1:-all}
python=${PYTHON:-python3}
case $what in all | python) ;; *)
    echo "usage: $0 [all|python]" >&2
    exit 1
    ;;
esac

missing=()
lacks() { # PACKAGE...: what must be installed because a check failed
    missing+=("$@")
}

# PostgreSQL's initdb, found as the tests find it; nothing where there is none.
initdb() {
    local found=(/usr/lib/postgresql/*/bin/initdb)
    if [ -x "${found[-1]}" ]; then
        echo "${found[-1]}"
    else
        type -P initdb || true
    fi
}

# Clients in another language, and the contract lint (buf, from PyPI).
"$python" -c 'import ensurepip, venv' 2>/dev/null || lacks python3 python3-venv
if [ "$what" = all ]; then
    command -v cc >/dev/null || lacks gcc libc6-dev
    # The second engine. Tests start throw-away clusters from these programs, whether or not
    # ATENA_TEST_DATABASE_URL names a server for the others.
    { [ -n "$(initdb)" ] && command -v psql >/dev/null; } || lacks postgresql
    # Go's own packages check the transfer log's proofs.
    { command -v go && [ -d /usr/share/gocode/src/golang.org/x/mod/sumdb ]; } >/dev/null 2>&1 ||
        lacks golang-go golang-golang-x-mod-dev
    # Kills the gateway at a chosen system call.
    command -v strace >/dev/null || lacks strace
    # Load on the listener.
    command -v h2load >/dev/null || lacks nghttp2-client
    # A token (HSM, PKCS #11) in software.
    command -v softhsm2-util >/dev/null || lacks softhsm2
    # Sets the limits and the signals of the programs under test.
    { command -v prlimit && command -v env; } >/dev/null 2>&1 || lacks util-linux coreutils
    # The example in Java. Node.js, for the one in TypeScript, comes from PyPI.
    java=/usr/share/java
    { command -v javac && command -v protoc && command -v grpc_java_plugin; } >/dev/null 2>&1 &&
        [ -e /usr/include/google/protobuf/descriptor.proto ] && [ -e $java/grpc-netty.jar ] &&
        [ -e $java/netty-codec-http2.jar ] && [ -e $java/netty-tcnative.jar ] && [ -e $java/perfmark-api.jar ] &&
        [ -e $java/gson.jar ] && [ -e $java/proto-google-common-protos.jar ] &&
        [ -e $java/geronimo-annotation-1.3-spec.jar ] && [ -e $java/protobuf-util.jar ] ||
        lacks default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin libprotobuf-dev \
            libgrpc-java libprotobuf-java libnetty-java libnetty-tcnative-java libnetty-tcnative-jni \
            libperfmark-java libgoogle-gson-java libgoogle-common-protos-java \
            libgeronimo-annotation-1.3-spec-java
fi

# Programs that are there and too old fail much later, and obscurely.
check_versions() {
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "$("$python" --version) is too old: the tests need Python 3.10 or newer (make PYTHON=python3.x)" >&2
        exit 1
    fi
    [ "$what" = all ] || return 0
    local version
    version=$("$(initdb)" --version)
    version=${version##* (PostgreSQL) }
    if [ "${version%%[!0-9]*}" -lt 15 ]; then
        echo "PostgreSQL $version is too old: the tests need 15 or newer ($(initdb))" >&2
        exit 1
    fi
}

if [ "${#missing[@]}" = 0 ]; then
    check_versions
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    {
        echo "make test needs programs that are not here. Their Debian packages are: ${missing[*]}"
        echo 'Install their like with your package manager, or run single tests with cargo test.'
    } >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    root=(env)
elif sudo -n true 2>/dev/null; then
    root=(sudo -n env)
else
    {
        echo 'make test needs programs that are not here. This command installs them:'
        echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    } >&2
    exit 1
fi
echo "installing what the tests need: ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
check_versions
