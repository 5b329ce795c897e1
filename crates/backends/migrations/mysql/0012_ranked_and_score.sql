-- How a poll's rankings or scores are counted, as JSON; null if as in a new poll.
-- The statement adds the column, if it is missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'counting'),
    'DO 0',
    'ALTER TABLE poll ADD COLUMN counting TEXT'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;

-- How many ballots have a ranking (`3>1`), or give an option a score (`2=5`): changed in the same transactions as the tallies, and
-- sharded as they are.
CREATE TABLE IF NOT EXISTS tally_detail (
    poll_id BIGINT       NOT NULL,
    detail  VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    shard   INT          NOT NULL,
    count   BIGINT       NOT NULL,
    PRIMARY KEY (poll_id, detail, shard)
) ENGINE = InnoDB;
