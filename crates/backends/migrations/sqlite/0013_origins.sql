-- The origins whose pages may vote in a poll, as JSON; null if it lists none.
ALTER TABLE poll ADD COLUMN allowed_origins TEXT;
