-- Shows: polls in an order, as their slugs separated by spaces.
CREATE TABLE show (
    slug    TEXT COLLATE "C" PRIMARY KEY,
    title   TEXT   NOT NULL,
    polls   TEXT   NOT NULL,
    version BIGINT NOT NULL
);
