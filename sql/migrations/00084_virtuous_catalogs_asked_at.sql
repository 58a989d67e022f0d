-- +goose Up
-- A list is asked for before it is loaded, at most once in a while, so that there is a row before the first list. One that could not be loaded
-- stays as it was.
ALTER TABLE virtuous_catalogs
    ADD COLUMN asked_at timestamptz,                      -- after loaded_at: it is being loaded, or could not be
    ALTER COLUMN value DROP NOT NULL,
    ALTER COLUMN loaded_at DROP NOT NULL;

-- +goose Down
DELETE FROM virtuous_catalogs WHERE value IS NULL OR loaded_at IS NULL;
ALTER TABLE virtuous_catalogs DROP COLUMN asked_at, ALTER COLUMN value SET NOT NULL, ALTER COLUMN loaded_at SET NOT NULL;
