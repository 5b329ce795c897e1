#!/bin/bash
# SQLite takes a write-ahead log for the log of whatever file lies beside it: nothing in the log says which file it was
# written for. A copy made by VACUUM INTO, whose header says that it has no log at all, is read through it as well. After
# `cp copy.db votes.db` beside an old log, counts come from pages of both, without an error.
#
# Needs Debian's sqlite3. Exits with 1 if it behaves otherwise.
set -euo pipefail
directory=$(mktemp -d)
trap 'kill "${writer:-}" 2>/dev/null || true; rm -rf "$directory"' EXIT
cd "$directory"
echo "SQLite $(sqlite3 --version | cut -d' ' -f1)"

mkfifo statements
sqlite3 votes.db <statements >answers & writer=$!
exec 3>statements
tell() { # Has the writer run $1, and waits until it has.
    echo "$1; SELECT 'done $2';" >&3
    for _ in $(seq 200); do grep -q "done $2" answers && return; sleep 0.05; done
    echo "the writer doesn't answer"; exit 1
}
many() { echo "WITH RECURSIVE n(i) AS (VALUES ($1) UNION ALL SELECT i + 1 FROM n WHERE i < $2)"; }
tell "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE vote (id INTEGER PRIMARY KEY, choice); CREATE TABLE tally (total)" 1
tell "BEGIN; $(many 1 4000) INSERT INTO vote SELECT i, 'a' FROM n; INSERT INTO tally VALUES (4000); COMMIT" 2
sqlite3 votes.db "VACUUM INTO 'copy.db'"
tell "BEGIN; $(many 4001 4100) INSERT INTO vote SELECT i, 'a' FROM n; UPDATE tally SET total = 4100; COMMIT" 3
tell "PRAGMA wal_checkpoint(RESTART)" 4
tell "BEGIN; $(many 4101 4110) INSERT INTO vote SELECT i, 'a' FROM n; UPDATE tally SET total = 4110; COMMIT" 5
kill -9 "$writer"; wait "$writer" 2>/dev/null || true
exec 3>&-

count() { sqlite3 "$1" 'SELECT (SELECT total FROM tally) || " in the tally, " || (SELECT count(*) FROM vote) || " votes"' 2>&1; }
echo "the copy by itself: $(count copy.db); its header says $([ "$(od -An -tu1 -j18 -N1 copy.db | tr -d ' ')" = 1 ] && echo 'no log' || echo 'a log')"
[ "$(count copy.db)" = "4000 in the tally, 4000 votes" ] || exit 1
cp copy.db votes.db
beside=$(count votes.db)
echo "the same copy beside the old log: $beside"
# The log was taken for the copy's: what is read is neither the copy nor what the writer had.
case $beside in
"4000 in the tally, 4000 votes" | "4110 in the tally, 4110 votes") echo "it isn't a mixture"; exit 1 ;;
esac
