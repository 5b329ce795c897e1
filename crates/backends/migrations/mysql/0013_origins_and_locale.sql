-- The origins whose pages may vote in a poll, as JSON; null if it lists none. The language of its texts, and whether its page shows
-- the options in an order of the visitor's own.
-- The statement adds all of its columns or none, if they are missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'allowed_origins'),
    'DO 0',
    'ALTER TABLE poll
        ADD COLUMN allowed_origins TEXT,
        ADD COLUMN locale VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''en'',
        ADD COLUMN option_order VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT ''fixed'''
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
