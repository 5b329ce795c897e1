-- Whether a ballot has to come with a proof of work. Until now, none had to.
ALTER TABLE poll ADD COLUMN proof TEXT NOT NULL DEFAULT 'never';
