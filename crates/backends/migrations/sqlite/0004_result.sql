-- A result's version and its voters, changed in the same transactions as the tallies. `seq` increases with every change of a
-- result, also where counts fall or stay. Until now, the tally of option 0 counted the voters, and their number was the version.
CREATE TABLE result (
    poll_id INTEGER NOT NULL REFERENCES poll (id),
    shard   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    voters  INTEGER NOT NULL,
    PRIMARY KEY (poll_id, shard)
) STRICT, WITHOUT ROWID;
INSERT INTO result (poll_id, shard, seq, voters) SELECT poll_id, shard, count, count FROM tally WHERE option_id = 0;
DELETE FROM tally WHERE option_id = 0;
