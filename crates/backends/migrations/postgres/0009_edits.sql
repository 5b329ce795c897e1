-- Texts that voters agree to, polls that are left out of lists, and the highest id that an option of a poll ever had, where it isn't
-- that of one that the poll still has.
ALTER TABLE poll ADD COLUMN consent TEXT NOT NULL DEFAULT '';
ALTER TABLE poll ADD COLUMN archived_at BIGINT;
ALTER TABLE poll ADD COLUMN last_option INTEGER NOT NULL DEFAULT 0;

-- Rules by which ballots are void, as JSON; null if the poll has none.
ALTER TABLE poll ADD COLUMN voids TEXT;

-- Counts per option that were taken over from an earlier system, as JSON; null if there are none.
ALTER TABLE poll ADD COLUMN imported TEXT;

-- Who changed what, and why; append-only. A deleted poll is known by its slug.
CREATE TABLE audit (
    number  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    author  TEXT   NOT NULL,
    reason  TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    slug    TEXT   NOT NULL,
    changes TEXT   NOT NULL
);
CREATE INDEX audit_of_poll ON audit (slug, number);
