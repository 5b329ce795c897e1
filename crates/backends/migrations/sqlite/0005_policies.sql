-- What identifies a voter, and how often a voter may vote. Until now, everyone could vote any number of times.
ALTER TABLE poll ADD COLUMN policy TEXT NOT NULL DEFAULT 'unlimited';
ALTER TABLE poll ADD COLUMN quota INTEGER NOT NULL DEFAULT 1;
ALTER TABLE poll ADD COLUMN option_quota INTEGER;

-- The ballots of voters whom a poll's policy identifies: append-only, and beside `ballot` the only truth. The first 15 bytes of the
-- key are the voter's, the last one numbers the voter's ballots. Keys are random, so nothing is in their order: ballots are numbered
-- as they are recorded, and whoever records them has a map from each voter to these numbers in memory. It has 5 bytes for a number.
CREATE TABLE voter_ballot (
    poll_id     INTEGER NOT NULL REFERENCES poll (id),
    number      INTEGER NOT NULL CHECK (number BETWEEN 1 AND 0xffffffffff),
    key         BLOB    NOT NULL CHECK (length(key) = 16),
    ballot_id   BLOB    NOT NULL CHECK (length(ballot_id) = 16),
    choices     TEXT    NOT NULL,
    accepted_at INTEGER NOT NULL,
    policy      TEXT    NOT NULL,
    PRIMARY KEY (poll_id, number)
) STRICT, WITHOUT ROWID;
