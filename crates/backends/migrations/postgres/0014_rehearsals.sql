-- Whether a poll is a rehearsal, which no voter takes part in. Until now, none was.
ALTER TABLE poll ADD COLUMN rehearsal BOOLEAN NOT NULL DEFAULT FALSE;
