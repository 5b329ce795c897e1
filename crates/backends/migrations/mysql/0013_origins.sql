-- The origins whose pages may vote in a poll, as JSON; null if it lists none.
-- The statement adds the column, if it is missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'allowed_origins'),
    'DO 0',
    'ALTER TABLE poll ADD COLUMN allowed_origins TEXT'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
