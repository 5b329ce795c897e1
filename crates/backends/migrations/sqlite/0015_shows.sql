-- Shows: polls in an order, as their slugs separated by spaces.
CREATE TABLE show (
    slug    TEXT    NOT NULL PRIMARY KEY,
    title   TEXT    NOT NULL,
    polls   TEXT    NOT NULL,
    version INTEGER NOT NULL
) STRICT;
