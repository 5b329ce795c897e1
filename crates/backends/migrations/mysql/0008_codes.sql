-- Batches of invitation codes, for polls with the policy `code`. A batch whose export ended has `exported_at`; the codes of a
-- revoked one no longer count.
CREATE TABLE IF NOT EXISTS code_batch (
    poll_id     BIGINT      NOT NULL,
    number      INT         NOT NULL,
    name        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    codes       BIGINT      NOT NULL,
    made_at     BIGINT      NOT NULL,
    exported_at BIGINT,
    revoked_at  BIGINT,
    PRIMARY KEY (poll_id, number),
    UNIQUE (poll_id, name),
    FOREIGN KEY (poll_id) REFERENCES poll (id)
) ENGINE = InnoDB;

-- No code is stored: what is stored of it is the pseudonym of who votes with it, with which the keys of that voter's ballots begin.
-- No foreign key: a look-up a code would be the price.
CREATE TABLE IF NOT EXISTS code (
    poll_id BIGINT     NOT NULL,
    voter   BINARY(15) NOT NULL,
    batch   INT        NOT NULL,
    PRIMARY KEY (poll_id, voter)
) ENGINE = InnoDB;
