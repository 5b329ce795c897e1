#!/bin/bash
# PgBouncer in transaction mode hands one client's `SET` to the next: `SET synchronous_commit = off` by a client that has since
# gone away makes another client's commits return before they are on the disk. `server_reset_query` doesn't undo it in this
# mode. `SET LOCAL` in the transaction does hold.
#
# Uses Debian's postgresql and pgbouncer, as a user without rights, on loopback; ends in seconds. Exits with 1 if it is
# otherwise here.
set -euo pipefail

PG=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
echo "versions: $("$PG/postgres" --version); $(/usr/sbin/pgbouncer --version | head -1)"
work=$(mktemp -d /tmp/finding.XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=postgres --regid=postgres --clear-groups --); chown postgres "$work"; fi
chmod 755 "$work"
pids=()
cleanup() { for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap cleanup EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
pg_port=$(port) pool_port=$(port)

"${as[@]}" "$PG/initdb" -D "$work/data" -U tester --auth=trust --no-sync >"$work/initdb.log"
"${as[@]}" "$PG/postgres" -D "$work/data" -c listen_addresses=127.0.0.1 -c port="$pg_port" -c unix_socket_directories= \
  >"$work/postgres.log" 2>&1 & pids+=($!)
cat >"$work/pgbouncer.ini" <<INI
[databases]
* = host=127.0.0.1 port=$pg_port user=tester
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pool_port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
server_reset_query = DISCARD ALL
INI
"${as[@]}" /usr/sbin/pgbouncer -q "$work/pgbouncer.ini" >"$work/pgbouncer.log" 2>&1 & pids+=($!)

ask() { timeout 10 psql -h 127.0.0.1 -p "$pool_port" -U tester -d postgres -qAtX -c "$1"; }
for _ in $(seq 100); do ask 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.2; done

before=$(ask 'SHOW synchronous_commit')
ask 'SET synchronous_commit = off'      # this client ends here
after=$(ask 'SHOW synchronous_commit')  # another one
own=$(ask "BEGIN; SET LOCAL synchronous_commit = on; SHOW synchronous_commit; COMMIT")
left=$(ask 'SHOW synchronous_commit')
echo "a new client sees synchronous_commit = $before; after another client's SET: $after"
echo "in a transaction with SET LOCAL: $own; after it: $left"
[ "$before" = on ] && [ "$after" = off ] && [ "$own" = on ] && [ "$left" = off ] || { echo "it behaves differently here"; exit 1; }
