-- Tokens of those who administer polls over HTTP: by their numbers, with the SHA-256 hashes of their secrets. A token is never deleted.
CREATE TABLE IF NOT EXISTS admin_token (
    number     INT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role       VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hash       BINARY(32)  NOT NULL,
    made_at    BIGINT      NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
) ENGINE = InnoDB;
