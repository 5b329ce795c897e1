-- The version of all polls with which a poll last changed: a process that knows the polls reads only those that changed since.
ALTER TABLE poll ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX poll_changed ON poll (changed);
