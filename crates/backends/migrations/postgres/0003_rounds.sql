-- How nodes behind a broker learn that all that arrived before a poll's close is recorded: see the module `rounds` of the domain.
CREATE TABLE recording_round (number BIGINT NOT NULL, began_at BIGINT NOT NULL);
INSERT INTO recording_round (number, began_at) VALUES (0, 0);

-- The queues on which there may be ballots for this database: each node notes its own before it takes one.
CREATE TABLE recording_queue (name TEXT COLLATE "C" NOT NULL PRIMARY KEY);

-- The last report of each consumer: a worker's consumer of the queue, on one connection.
CREATE TABLE recording_consumer (
    id        BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    queue     TEXT   NOT NULL,
    joined    BIGINT NOT NULL,
    reported  BIGINT NOT NULL,
    consumers BIGINT NOT NULL
);
