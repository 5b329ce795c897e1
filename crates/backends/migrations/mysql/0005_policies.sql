-- What identifies a voter, and how often a voter may vote. Until now, everyone could vote any number of times.
-- Each statement adds all of its columns or none, if they are missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'policy'),
    'DO 0',
    'ALTER TABLE poll
        ADD COLUMN policy VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''unlimited'',
        ADD COLUMN quota INT NOT NULL DEFAULT 1,
        ADD COLUMN option_quota INT'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;

-- What identified the ballot's voter; null where everyone may vote any number of times. Where it identifies voters, the first 15
-- bytes of the key are the voter's, and the last one numbers the voter's ballots.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'ballot' AND column_name = 'policy'),
    'DO 0',
    'ALTER TABLE ballot ADD COLUMN policy VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
