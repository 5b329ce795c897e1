-- Tokens of those who administer polls over HTTP: by their numbers, with the SHA-256 hashes of their secrets. A token is never deleted.
CREATE TABLE admin_token (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
