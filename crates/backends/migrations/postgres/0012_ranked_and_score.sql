-- How a poll's rankings or scores are counted, as JSON; null if as in a new poll.
ALTER TABLE poll ADD COLUMN counting TEXT;

-- How many ballots have a ranking (`3>1`), or give an option a score (`2=5`): changed in the same transactions as the tallies, and
-- sharded as they are.
CREATE TABLE tally_detail (
    poll_id BIGINT           NOT NULL,
    detail  TEXT COLLATE "C" NOT NULL,
    shard   INTEGER          NOT NULL,
    count   BIGINT           NOT NULL,
    PRIMARY KEY (poll_id, detail, shard)
) WITH (fillfactor = 50);
