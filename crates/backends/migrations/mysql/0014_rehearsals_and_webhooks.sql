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

-- Webhooks: where to send what happens to polls, what their secrets are derived from, and how the last attempt ended. A number is never
-- that of another one.
CREATE TABLE IF NOT EXISTS webhook (
    number         INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    url            VARCHAR(500) NOT NULL,
    salt           BINARY(16)   NOT NULL,
    made_at        BIGINT       NOT NULL,
    last_at        BIGINT,
    last_delivered BOOLEAN,
    last_outcome   TEXT
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- What webhooks are to get: each event of a poll once. A message is due at next_at, or claimed until then; it has ended at ended_at.
CREATE TABLE IF NOT EXISTS webhook_delivery (
    number      BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    webhook     INT         NOT NULL,
    poll_id     BIGINT      NOT NULL,
    event       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    occurred_at BIGINT      NOT NULL,
    attempts    INT         NOT NULL DEFAULT 0,
    next_at     BIGINT      NOT NULL,
    ended_at    BIGINT,
    UNIQUE KEY webhook_delivery_event (webhook, poll_id, event, occurred_at),
    KEY webhook_delivery_due (webhook, ended_at, next_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
