#!/usr/bin/env bash
# Sets up a machine that has Rust, a C compiler and make for `make test`.
#
# It installs missing Debian packages where it may: as root, or with a sudo that asks for no password.
# Otherwise it stops and prints the one command that installs them. It changes nothing on a machine that
# has everything.
set -euo pipefail

missing=()
lacks() { # PACKAGE...: what must be installed because a check failed
    missing+=("$@")
}

command -v cc >/dev/null || lacks gcc libc6-dev
# Clients in another language, and the contract lint (buf, from PyPI).
python3 -c 'import ensurepip, venv' 2>/dev/null || lacks python3 python3-venv
# The second engine. Tests start throw-away clusters from these programs.
{ ls /usr/lib/postgresql/*/bin/initdb && command -v psql; } >/dev/null 2>&1 || lacks postgresql
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

[ "${#missing[@]}" -gt 0 ] || exit 0

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
