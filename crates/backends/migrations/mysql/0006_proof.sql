-- Whether a ballot has to come with a proof of work. Until now, none had to.
-- The statement adds the column, if it is missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'proof'),
    'DO 0',
    'ALTER TABLE poll
        ADD COLUMN proof VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''never'''
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
