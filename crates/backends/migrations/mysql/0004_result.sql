-- A result's version and its voters, changed in the same transactions as the tallies, and sharded as they are. `seq` increases
-- with every change of a result, also where counts fall or stay. Until now, the tally of option 0 counted the voters, and their
-- number was the version. Those tallies stay, and readers add them to both: processes of earlier versions may still write them.
CREATE TABLE IF NOT EXISTS result (
    poll_id BIGINT NOT NULL,
    shard   INT    NOT NULL,
    seq     BIGINT NOT NULL,
    voters  BIGINT NOT NULL,
    PRIMARY KEY (poll_id, shard)
) ENGINE = InnoDB;
