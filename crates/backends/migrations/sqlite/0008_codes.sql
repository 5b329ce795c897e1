-- Batches of invitation codes, for polls with the policy `code`. A batch whose export ended has `exported_at`; the codes of a
-- revoked one no longer count.
CREATE TABLE code_batch (
    poll_id     INTEGER NOT NULL REFERENCES poll (id),
    number      INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    codes       INTEGER NOT NULL,
    made_at     INTEGER NOT NULL,
    exported_at INTEGER,
    revoked_at  INTEGER,
    PRIMARY KEY (poll_id, number),
    UNIQUE (poll_id, name)
) STRICT, WITHOUT ROWID;

-- No code is stored: what is stored of it is the pseudonym of who votes with it, with which the keys of that voter's ballots begin.
CREATE TABLE code (
    poll_id INTEGER NOT NULL REFERENCES poll (id),
    voter   BLOB    NOT NULL CHECK (length(voter) = 15),
    batch   INTEGER NOT NULL,
    PRIMARY KEY (poll_id, voter)
) STRICT, WITHOUT ROWID;
