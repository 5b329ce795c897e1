-- What identifies a voter, and how often a voter may vote. Until now, everyone could vote any number of times.
ALTER TABLE poll ADD COLUMN policy TEXT NOT NULL DEFAULT 'unlimited';
ALTER TABLE poll ADD COLUMN quota SMALLINT NOT NULL DEFAULT 1;
ALTER TABLE poll ADD COLUMN option_quota SMALLINT;

-- What identified the ballot's voter; null where everyone may vote any number of times. Where it identifies voters, the first 15
-- bytes of the key are the voter's, and the last one numbers the voter's ballots.
ALTER TABLE ballot ADD COLUMN policy TEXT;
