CREATE TABLE poll (
    id           INTEGER PRIMARY KEY,
    slug         TEXT    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    intro        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    min_choices  INTEGER NOT NULL,
    max_choices  INTEGER NOT NULL,
    opens_at     INTEGER,
    closes_at    INTEGER,
    results      TEXT    NOT NULL,
    percent_base TEXT    NOT NULL,
    version      INTEGER NOT NULL
) STRICT;

CREATE TABLE option (
    poll_id  INTEGER NOT NULL REFERENCES poll (id),
    id       INTEGER NOT NULL,
    label    TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (poll_id, id)
) STRICT, WITHOUT ROWID;

-- Grows with every change of a poll, so that a server sees what another process changed.
CREATE TABLE polls_version (version INTEGER NOT NULL) STRICT;
INSERT INTO polls_version (version) VALUES (0);

-- Append-only, the only truth. The key alone decides what is counted once; keys in time order grow at the end.
-- Where everybody may vote as often as they like, the key is the ballot's id, and ballot_id is null.
CREATE TABLE ballot (
    poll_id     INTEGER NOT NULL REFERENCES poll (id),
    key         BLOB    NOT NULL CHECK (length(key) = 16),
    ballot_id   BLOB    CHECK (length(ballot_id) = 16),
    choices     TEXT    NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (poll_id, key)
) STRICT, WITHOUT ROWID;

-- Changed in the transaction that inserts the ballots. Whoever records has a shard of its own; readers add them up.
-- No option has the id 0: its tally counts the ballots themselves.
CREATE TABLE tally (
    poll_id   INTEGER NOT NULL REFERENCES poll (id),
    option_id INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (poll_id, option_id, shard)
) STRICT, WITHOUT ROWID;
