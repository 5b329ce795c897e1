CREATE TABLE poll (
    id           BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug         TEXT    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    intro        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    min_choices  INTEGER NOT NULL,
    max_choices  INTEGER NOT NULL,
    opens_at     BIGINT,
    closes_at    BIGINT,
    results      TEXT    NOT NULL,
    percent_base TEXT    NOT NULL,
    version      BIGINT  NOT NULL
);

CREATE TABLE option (
    poll_id  BIGINT  NOT NULL REFERENCES poll (id),
    id       INTEGER NOT NULL,
    label    TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (poll_id, id)
);

-- Grows with every change of a poll, so that a server sees what another process changed.
CREATE TABLE polls_version (version BIGINT NOT NULL);
INSERT INTO polls_version (version) VALUES (0);

-- Append-only, the only truth. The key alone decides what is counted once; keys in time order grow at the end.
-- Where everybody may vote as often as they like, the key is the ballot's id, and ballot_id is null.
-- Without a reference to the poll: it would be looked up and locked anew for every row, and who inserts here has read
-- the poll in the same transaction.
CREATE TABLE ballot (
    poll_id     BIGINT NOT NULL,
    key         BYTEA  NOT NULL CHECK (length(key) = 16),
    ballot_id   BYTEA  CHECK (length(ballot_id) = 16),
    choices     TEXT   NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (poll_id, key)
);

-- Changed in the transaction that inserts the ballots. Whoever records has a shard of its own; readers add them up.
-- No option has the id 0: its tally counts the ballots themselves.
-- Half of each page is left free, so that a row's next version fits beside it and no index has to be changed.
CREATE TABLE tally (
    poll_id   BIGINT  NOT NULL,
    option_id INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    count     BIGINT  NOT NULL,
    PRIMARY KEY (poll_id, option_id, shard)
) WITH (fillfactor = 50);
