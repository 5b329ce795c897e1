-- A result's version and its voters, changed in the same transactions as the tallies, and sharded as they are. `seq` increases
-- with every change of a result, also where counts fall or stay. Until now, the tally of option 0 counted the voters, and their
-- number was the version. Those tallies stay, and readers add them to both: processes of earlier versions may still write them.
CREATE TABLE result (
    poll_id INTEGER NOT NULL REFERENCES poll (id),
    shard   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    voters  INTEGER NOT NULL,
    PRIMARY KEY (poll_id, shard)
) STRICT, WITHOUT ROWID;
