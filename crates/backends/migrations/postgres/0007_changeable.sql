-- Whether voters may replace or withdraw their ballots. Until now, no voter could.
ALTER TABLE poll ADD COLUMN changeable BOOLEAN NOT NULL DEFAULT FALSE;
