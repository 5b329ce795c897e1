-- Batches of invitation codes, for polls with the policy `code`. A batch whose export ended has `exported_at`; the codes of a
-- revoked one no longer count.
CREATE TABLE code_batch (
    poll_id     BIGINT  NOT NULL REFERENCES poll (id),
    number      INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    codes       BIGINT  NOT NULL,
    made_at     BIGINT  NOT NULL,
    exported_at BIGINT,
    revoked_at  BIGINT,
    PRIMARY KEY (poll_id, number),
    UNIQUE (poll_id, name)
);

-- No code is stored: what is stored of it is the pseudonym of who votes with it, with which the keys of that voter's ballots begin.
-- Without a reference to the poll: it would be looked up and locked anew for every row.
CREATE TABLE code (
    poll_id BIGINT  NOT NULL,
    voter   BYTEA   NOT NULL CHECK (length(voter) = 15),
    batch   INTEGER NOT NULL,
    PRIMARY KEY (poll_id, voter)
);
