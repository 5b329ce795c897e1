-- The origins whose pages may vote in a poll, as JSON; null if it lists none. The language of its texts, and whether its page shows
-- the options in an order of the visitor's own.
ALTER TABLE poll ADD COLUMN allowed_origins TEXT;
ALTER TABLE poll ADD COLUMN locale TEXT NOT NULL DEFAULT 'en';
ALTER TABLE poll ADD COLUMN option_order TEXT NOT NULL DEFAULT 'fixed';
