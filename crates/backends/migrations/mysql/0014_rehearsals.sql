-- Whether a poll is a rehearsal, which no voter takes part in. Until now, none was.
-- The statement adds the column, if it is missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'rehearsal'),
    'DO 0',
    'ALTER TABLE poll
        ADD COLUMN rehearsal BOOLEAN NOT NULL DEFAULT FALSE'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
