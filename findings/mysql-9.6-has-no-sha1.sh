#!/bin/bash
# MySQL 9.6 and later have no SHA1() and MD5() until a component is installed; SHA2() is still there. The error speaks of
# something else: "FUNCTION db.SHA1 does not exist", and without a database "No database selected". So an upgrade of the
# server breaks statements that read no table at all. `VALUES(column)` after ON DUPLICATE KEY UPDATE works and leaves a
# warning in every statement.
#
# Uses MySQL from Debian unstable in a directory made by debootstrap (some minutes, 600 MB, removed afterwards), or the one
# given as the first argument, which has mysqld and mysql; needs root. On loopback. Exits with 1 if it is otherwise here.
set -euo pipefail

work=$(mktemp -d /tmp/finding.XXXXXX)
root=${1:-$work/root}
data=/srv/finding.$$
pid=
cleanup() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; } || true
  rm -rf "${root:?}$data" "$work"
}
trap cleanup EXIT
if [ $# = 0 ]; then
  mirror=$(apt-get indextargets --format '$(SITE)' | grep '/debian/*$' | head -1)
  timeout 1800 debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core sid "$root" "$mirror" \
    >"$work/debootstrap.log" || { tail -5 "$work/debootstrap.log"; exit 1; }
fi
echo "version: $(chroot "$root" mysqld --version)"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

mkdir -p "$root$data"
chown 65534:65534 "$root$data"
as=(chroot "$root" setpriv --reuid=65534 --regid=65534 --clear-groups --)
options=(--no-defaults --datadir="$data/data" --tmpdir="$data")
"${as[@]}" mysqld "${options[@]}" --initialize-insecure 2>"$work/initialize.log"
"${as[@]}" mysqld "${options[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$data/socket" --mysqlx=OFF \
  --pid-file="$data/pid" >"$work/mysqld.log" 2>&1 & pid=$!
ask() { timeout 20 chroot "$root" mysql --no-defaults -u root -S "$data/socket" -N -e "$1" 2>&1 || true; }
for _ in $(seq 150); do [ "$(ask 'SELECT 1')" = 1 ] && break; sleep 0.2; done

ask 'CREATE DATABASE one; CREATE TABLE one.t (id INT PRIMARY KEY, n INT)'
in_database=$(ask "USE one; SELECT SHA1('x')")
without=$(ask "SELECT SHA1('x')")
sha2=$(ask "SELECT LEFT(SHA2('x', 256), 8)")
warned=$(ask "INSERT INTO one.t VALUES (1, 1) ON DUPLICATE KEY UPDATE n = n + VALUES(n); SHOW WARNINGS")
component=$(ask "INSTALL COMPONENT 'file://component_classic_hashing'; SELECT LEFT(SHA1('x'), 8)")
printf '%s\n' "SHA1 in a database:      $in_database" "SHA1 without a database: $without" "SHA2: $sha2" \
  "VALUES(n): ${warned%% Please*}" "SHA1 with component_classic_hashing: $component"
case "$in_database|$without|$sha2|$warned|$component" in
  *"1305"*"SHA1 does not exist"*"|"*"1046"*"|2d711642|"*"1287"*"|11f6ad8e") ;;
  *) echo "it behaves differently here"; exit 1 ;;
esac
