-- Whether a poll is a rehearsal, which no voter takes part in. Until now, none was.
ALTER TABLE poll ADD COLUMN rehearsal BOOLEAN NOT NULL DEFAULT FALSE;

-- Webhooks: where to send what happens to polls, what their secrets are derived from, and how the last attempt ended. A number is never
-- that of another one.
CREATE TABLE webhook (
    number         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url            TEXT   NOT NULL,
    salt           BYTEA  NOT NULL CHECK (length(salt) = 16),
    made_at        BIGINT NOT NULL,
    last_at        BIGINT,
    last_delivered BOOLEAN,
    last_outcome   TEXT
);

-- What webhooks are to get: each event of a poll once. A message is due at next_at, or claimed until then; it has ended at ended_at.
CREATE TABLE webhook_delivery (
    number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook     INTEGER NOT NULL,
    poll_id     BIGINT  NOT NULL,
    event       TEXT    NOT NULL,
    occurred_at BIGINT  NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     BIGINT  NOT NULL,
    ended_at    BIGINT,
    UNIQUE (webhook, poll_id, event, occurred_at)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, ended_at, next_at);
