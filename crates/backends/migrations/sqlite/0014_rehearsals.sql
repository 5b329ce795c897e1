-- Whether a poll is a rehearsal, which no voter takes part in. Until now, none was.
ALTER TABLE poll ADD COLUMN rehearsal INTEGER NOT NULL DEFAULT FALSE CHECK (rehearsal IN (FALSE, TRUE));
