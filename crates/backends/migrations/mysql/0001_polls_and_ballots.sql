-- A statement that changes tables is a transaction of its own here, so each of these may be run again: a step that was
-- broken off is begun anew.

CREATE TABLE IF NOT EXISTS poll (
    id           BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    slug         VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    title        VARCHAR(200)  NOT NULL,
    intro        VARCHAR(2000) NOT NULL,
    kind         VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    min_choices  INT           NOT NULL,
    max_choices  INT           NOT NULL,
    opens_at     BIGINT,
    closes_at    BIGINT,
    results      VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    percent_base VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version      BIGINT        NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS `option` (
    poll_id  BIGINT       NOT NULL,
    id       INT          NOT NULL,
    label    VARCHAR(200) NOT NULL,
    position INT          NOT NULL,
    PRIMARY KEY (poll_id, id),
    FOREIGN KEY (poll_id) REFERENCES poll (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;

-- Grows with every change of a poll, so that a server sees what another process changed. One row; it has a key because
-- there are clusters that take no table without one.
CREATE TABLE IF NOT EXISTS polls_version (
    id      TINYINT NOT NULL PRIMARY KEY,
    version BIGINT  NOT NULL
) ENGINE = InnoDB;

INSERT INTO polls_version (id, version)
SELECT 1, 0 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM polls_version);

-- Append-only, the only truth. The key alone decides what is counted once; keys in time order grow at the end.
-- Where everybody may vote as often as they like, the key is the ballot's id, and ballot_id is null.
-- No foreign key: who records holds the poll's row locked anyway, and a look-up a ballot would be the price.
CREATE TABLE IF NOT EXISTS ballot (
    poll_id     BIGINT        NOT NULL,
    `key`       BINARY(16)    NOT NULL,
    ballot_id   BINARY(16),
    choices     VARCHAR(1000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    accepted_at BIGINT        NOT NULL,
    PRIMARY KEY (poll_id, `key`)
) ENGINE = InnoDB;

-- Changed in the transaction that inserts the ballots. Whoever records has a shard of its own; readers add them up.
-- No option has the id 0: its tally counts the ballots themselves.
CREATE TABLE IF NOT EXISTS tally (
    poll_id   BIGINT NOT NULL,
    option_id INT    NOT NULL,
    shard     INT    NOT NULL,
    count     BIGINT NOT NULL,
    PRIMARY KEY (poll_id, option_id, shard)
) ENGINE = InnoDB;
