-- Texts that voters agree to, polls that are left out of lists, and the highest id that an option of a poll ever had, where it isn't
-- that of one that the poll still has. Rules by which ballots are void, as JSON; null if the poll has none.
-- Counts per option that were taken over from an earlier system, as JSON; null if there are none.
-- The statement adds all of its columns or none, if they are missing: see 0002_end_of_a_poll.
SET @throng_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'poll' AND column_name = 'consent'),
    'DO 0',
    'ALTER TABLE poll
        ADD COLUMN consent VARCHAR(2000) NOT NULL DEFAULT '''',
        ADD COLUMN archived_at BIGINT,
        ADD COLUMN last_option INT NOT NULL DEFAULT 0,
        ADD COLUMN voids MEDIUMTEXT,
        ADD COLUMN imported TEXT'
);
PREPARE throng_step FROM @throng_step;
EXECUTE throng_step;
DEALLOCATE PREPARE throng_step;

-- Who changed what, and why; append-only. A deleted poll is known by its slug.
CREATE TABLE IF NOT EXISTS audit (
    number  BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      BIGINT       NOT NULL,
    author  VARCHAR(100) NOT NULL,
    reason  VARCHAR(500) NOT NULL,
    action  VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    slug    VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    changes MEDIUMTEXT   NOT NULL,
    KEY audit_of_poll (slug, number)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
