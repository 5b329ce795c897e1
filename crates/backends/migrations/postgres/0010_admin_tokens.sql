-- Tokens of those who administer polls over HTTP: by their numbers, with the SHA-256 hashes of their secrets. A token is never deleted.
CREATE TABLE admin_token (
    number     INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    hash       BYTEA  NOT NULL CHECK (length(hash) = 32),
    made_at    BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
