-- What is stored of a poll's end beside its window, so that no clock opens it again and no ballot changes a final result.
-- MySQL has no ADD COLUMN IF NOT EXISTS, and this may be run again: one statement adds both columns or none, if they are missing.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'final_at'),
    'DO 0',
    'ALTER TABLE poll ADD COLUMN closed_at BIGINT, ADD COLUMN final_at BIGINT'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;
