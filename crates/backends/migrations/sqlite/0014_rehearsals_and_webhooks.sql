-- Whether a poll is a rehearsal, which no voter takes part in. Until now, none was.
ALTER TABLE poll ADD COLUMN rehearsal INTEGER NOT NULL DEFAULT FALSE CHECK (rehearsal IN (FALSE, TRUE));

-- Webhooks: where to send what happens to polls, what their secrets are derived from, and how the last attempt ended. A number is never
-- that of another one.
CREATE TABLE webhook (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    url            TEXT    NOT NULL,
    salt           BLOB    NOT NULL CHECK (length(salt) = 16),
    made_at        INTEGER NOT NULL,
    last_at        INTEGER,
    last_delivered INTEGER,
    last_outcome   TEXT
) STRICT;

-- What webhooks are to get: each event of a poll once. A message is due at next_at, or claimed until then; it has ended at ended_at.
CREATE TABLE webhook_delivery (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook     INTEGER NOT NULL,
    poll_id     INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER NOT NULL,
    ended_at    INTEGER,
    UNIQUE (webhook, poll_id, event, occurred_at)
) STRICT;
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, ended_at, next_at);
