#!/usr/bin/env bash
# Builds FirstPull into a folder and prints the command that runs it. Debian's packages are enough:
#     default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin libprotobuf-dev
#     libgrpc-java libprotobuf-java libnetty-java libnetty-tcnative-java libnetty-tcnative-jni
#     libperfmark-java libgoogle-gson-java libgoogle-common-protos-java
#     libgeronimo-annotation-1.3-spec-java
# A product would use Maven or Gradle: io.grpc:grpc-netty-shaded, grpc-protobuf and grpc-stub, and
# com.google.protobuf:protobuf-java-util.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out/generated" "$out/classes" "$out/native"

protoc "-I$here/../../proto" -I/usr/include "--java_out=$out/generated" "--grpc-java_out=$out/generated" \
    "--plugin=protoc-gen-grpc-java=$(command -v grpc_java_plugin || command -v protoc-gen-grpc-java)" \
    "$here"/../../proto/atena/v1/*.proto

libraries=
for jar in /usr/share/java/{grpc,netty,opencensus}-*.jar \
    /usr/share/java/{protobuf,protobuf-util,proto-google-common-protos,gson,guava}.jar \
    /usr/share/java/{netty-tcnative,perfmark-api,geronimo-annotation-1.3-spec}.jar; do
    # A jar with a version in its name stands there once more without.
    [[ $jar =~ -[0-9.]+(Final)?[.]jar$ ]] || libraries=$libraries:$jar
done
javac -nowarn -d "$out/classes" -cp "${libraries#:}" $(find "$out/generated" -name '*.java') "$here/FirstPull.java"

# netty looks for its TLS library under another name than Debian's.
cp /usr/lib/*/jni/libnetty-tcnative.so "$out/native/libnetty_tcnative.so"
echo "java -Djava.library.path=$out/native -cp $out/classes$libraries FirstPull"
