-- Whether voters may replace or withdraw their ballots. Until now, no voter could.
ALTER TABLE poll ADD COLUMN changeable INTEGER NOT NULL DEFAULT FALSE CHECK (changeable IN (FALSE, TRUE));
