#!/bin/bash
# Runs the cluster of this folder on one machine, from the same files: three etcd, three Patroni on 127.0.10.1 to 3, a gateway with TLS to
# whichever is the primary; kills the primary in the middle of a registration and checks that nothing acknowledged is missing.
#
# Usage: try.sh PROGRAM   e.g. try.sh target/debug/atena      (Debian 12: apt-get install postgresql patroni etcd-server etcd-client)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
atena=$(realpath "${1:?usage: try.sh PROGRAM}")
work=$(mktemp -d)
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid postgres --regid postgres --clear-groups env HOME=/); fi
jobs_of_nodes=()
finish() {
    {
        kill -9 "${jobs_of_nodes[@]}" ${gateway:-} || true
        pkill -9 -f "$work" || true
        wait
    } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
step() { printf '\n== %s\n' "$*"; }

export SUPERUSER_PASSWORD=$(openssl rand -hex 16) REPLICATION_PASSWORD=$(openssl rand -hex 16)
atena_password=$(openssl rand -hex 16)
export ETCD_CLUSTER=db1=http://127.0.10.1:2380,db2=http://127.0.10.2:2380,db3=http://127.0.10.3:2380
export ETCD_HOSTS=127.0.10.1:2379,127.0.10.2:2379,127.0.10.3:2379
export NETWORK=127.0.0.0/8
chmod 711 "$work"

step "certificates, and the files of each server"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=database authority" \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>/dev/null
for node in 1 2 3; do
    export NAME=db$node ADDRESS=127.0.10.$node DATA_DIR=$work/db$node/data SECRETS_DIR=$work/db$node SOCKET_DIR=$work/db$node
    export ETCD_DATA_DIR=$work/db$node/etcd
    mkdir -m 700 "$work/db$node"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$NAME" -keyout "$work/db$node/server.key" 2>/dev/null |
        openssl x509 -req -days 2 -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial \
            -extfile <(echo "subjectAltName=IP:$ADDRESS") -out "$work/db$node/server.crt" 2>/dev/null
    cp "$work/ca.crt" "$work/db$node/"
    envsubst <"$here/patroni.yml" >"$work/db$node/patroni.yml"
    envsubst <"$here/etcd.env" >"$work/db$node/etcd.env"
    if [ "$(id -u)" = 0 ]; then chown -R postgres:postgres "$work/db$node"; fi
done

start_etcd() { (set -a && . "$work/db$1/etcd.env" && cd / && exec "${as[@]}" etcd --logger zap) >"$work/etcd$1.log" 2>&1 & jobs_of_nodes+=($!); }
start_patroni() { (cd / && exec "${as[@]}" patroni "$work/db$1/patroni.yml") >"$work/patroni$1.log" 2>&1 & jobs_of_nodes+=($!); }
primary() { for node in 1 2 3; do [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.10.$node:8008/primary")" = 200 ] && echo $node; done; true; }
wait_for() { # what, command
    for _ in $(seq 120); do if eval "$2"; then return; fi; sleep 1; done
    echo "timed out: $1"; tail -n 20 "$work"/patroni*.log; exit 1
}

step "three etcd, three Patroni"
for node in 1 2 3; do start_etcd $node; done
wait_for "etcd" 'ETCDCTL_API=3 etcdctl --endpoints=$ETCD_HOSTS endpoint health >/dev/null 2>&1'
for node in 1 2 3; do start_patroni $node; done
wait_for "a primary" '[ -n "$(primary)" ]'
wait_for "a synchronous standby" 'curl -s http://127.0.10.$(primary):8008/cluster | grep -q sync_standby'
first=$(primary)
patronictl -c "$work/db1/patroni.yml" list

step "a database for Atena"
PGPASSWORD=$SUPERUSER_PASSWORD psql -q -v ON_ERROR_STOP=1 "host=127.0.10.$first user=postgres dbname=postgres sslmode=verify-full sslrootcert=$work/ca.crt" \
    -c "CREATE ROLE atena LOGIN PASSWORD '$atena_password'" -c "CREATE DATABASE atena OWNER atena ENCODING 'UTF8' TEMPLATE template0"

step "a gateway"
"$atena" init --home "$work/home" >/dev/null
url="postgres://atena@127.0.10.1,127.0.10.2,127.0.10.3/atena?sslmode=verify-full\&sslrootcert=$work/ca.crt"
sed -i "s|^database_url = .*|database_url = \"$url\"|" "$work/home/atena.toml"
(umask 077 && echo "*:*:atena:atena:$atena_password" >"$work/pgpass")
PGPASSFILE=$work/pgpass "$atena" serve --home "$work/home" --listen 127.0.0.1:0 >"$work/listening" 2>"$work/gateway.log" &
gateway=$!
wait_for "the gateway" 'grep -q listening "$work/listening" || ! kill -0 $gateway'
server=$(sed 's/listening on //' "$work/listening")
"$atena" sample --persons 20000 --seed 1 --out "$work/sample" >/dev/null
register() { "$atena" register --home "$work/home" --server "$server" --as pension --request-size 20 "$work/sample/people/pension.csv"; }

step "the primary (db$first) is killed while people are registered"
register >"$work/first" 2>&1 & registering=$!
wait_for "the first people" '[ "$(PGPASSFILE=$work/pgpass psql -At "host=127.0.10.$first user=atena dbname=atena sslmode=verify-full sslrootcert=$work/ca.crt" -c "SELECT count(*) FROM person")" -gt 100 ]'
pkill -9 -f "patroni $work/db$first/" || pkill -9 -f "$work/db$first/patroni.yml"
pkill -9 -f "$work/db$first/data"
wait $registering && echo "that registration went through" || echo "that registration was cut off, and is sent again:"
seconds=$SECONDS
until register >"$work/again" 2>&1; do sleep 1; done
echo "calls went on after $((SECONDS - seconds)) s; the primary is db$(primary)"
[ "$(primary)" != "$first" ]

step "everything is there once"
cat "$work/again"
PGPASSFILE=$work/pgpass "$atena" log fsck --home "$work/home"

step "the old primary comes back as a standby"
start_patroni "$first"
wait_for "the old primary" 'curl -s http://127.0.10.$(primary):8008/cluster | tr "}" "\n" | grep "\"name\": \"db$first\"" | grep -Eq "\"state\": \"(running|streaming)\""'
patronictl -c "$work/db2/patroni.yml" list
kill -TERM $gateway && wait $gateway
echo "passed"
