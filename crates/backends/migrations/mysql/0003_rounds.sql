-- How nodes behind a broker learn that all that arrived before a poll's close is recorded: see the module `rounds` of the domain.
-- One row; it has a key because there are clusters that take no table without one.
CREATE TABLE IF NOT EXISTS recording_round (
    id       TINYINT NOT NULL PRIMARY KEY,
    number   BIGINT  NOT NULL,
    began_at BIGINT  NOT NULL
) ENGINE = InnoDB;

INSERT INTO recording_round (id, number, began_at)
SELECT 1, 0, 0 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM recording_round);

-- The queues on which there may be ballots for this database: each node notes its own before it takes one.
CREATE TABLE IF NOT EXISTS recording_queue (
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

-- The last report of each consumer: a worker's consumer of the queue, on one connection.
CREATE TABLE IF NOT EXISTS recording_consumer (
    id        BINARY(16)   NOT NULL PRIMARY KEY,
    queue     VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    joined    BIGINT       NOT NULL,
    reported  BIGINT       NOT NULL,
    consumers BIGINT       NOT NULL
) ENGINE = InnoDB;
