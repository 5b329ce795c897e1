-- The version of all polls with which a poll last changed: a process that knows the polls reads only those that changed since.
-- The statement adds the column and its index or neither, if they are missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'changed'),
    'DO 0',
    'ALTER TABLE poll ADD COLUMN changed BIGINT NOT NULL DEFAULT 0, ADD KEY poll_changed (changed)'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
