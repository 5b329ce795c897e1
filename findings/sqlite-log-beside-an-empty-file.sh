#!/bin/bash
# SQLite deletes a write-ahead log, with every commit in it, when it opens a database whose file is missing or empty; it
# says nothing. Whoever moved the file away, or had it truncated, and starts a program again loses what only the log held.
#
# Needs Debian's sqlite3. Exits with 1 if it behaves otherwise.
set -euo pipefail
directory=$(mktemp -d)
trap 'kill "${writer:-}" 2>/dev/null || true; rm -rf "$directory"' EXIT
cd "$directory"
echo "SQLite $(sqlite3 --version | cut -d' ' -f1)"

# A process that commits and is then killed leaves its commits in the log.
mkfifo statements
sqlite3 votes.db <statements >answers & writer=$!
exec 3>statements
echo "PRAGMA journal_mode=WAL; CREATE TABLE vote (id); INSERT INTO vote VALUES (1), (2), (3); SELECT 'committed';" >&3
for _ in $(seq 100); do grep -q committed answers && break; sleep 0.05; done
kill -9 "$writer"; wait "$writer" 2>/dev/null || true
exec 3>&-
cp votes.db whole.db; cp votes.db-wal whole.db-wal
echo "left by the writer: votes.db $(stat -c %s votes.db) bytes, votes.db-wal $(stat -c %s votes.db-wal) bytes"
[ "$(sqlite3 whole.db 'SELECT count(*) FROM vote')" = 3 ] || { echo "the log doesn't hold the commits"; exit 1; }

changed=0
for what in missing empty; do
    cp votes.db-wal "$what.db-wal"
    [ $what = missing ] || : >"$what.db"
    said=$(sqlite3 "$what.db" 'PRAGMA user_version' 2>&1)
    if [ -e "$what.db-wal" ]; then echo "$what file: the log is kept; it said: $said"; changed=1
    else echo "$what file: the log is deleted; it said: $said"; fi
done
exit $changed
