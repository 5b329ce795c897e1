-- How a poll's rankings or scores are counted, as JSON; null if as in a new poll.
ALTER TABLE poll ADD COLUMN counting TEXT;

-- How many ballots have a ranking (`3>1`), or give an option a score (`2=5`): changed in the same transactions as the tallies, and
-- sharded as they are.
CREATE TABLE tally_detail (
    poll_id INTEGER NOT NULL REFERENCES poll (id),
    detail  TEXT    NOT NULL,
    shard   INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (poll_id, detail, shard)
) STRICT, WITHOUT ROWID;
