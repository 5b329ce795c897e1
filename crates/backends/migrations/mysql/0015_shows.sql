-- Shows: polls in an order, as their slugs separated by spaces.
CREATE TABLE IF NOT EXISTS `show` (
    slug    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    title   VARCHAR(200) NOT NULL,
    polls   TEXT         NOT NULL,
    version BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
