-- +goose Up
-- From when on complete passes of missed_webhook have read. An earlier gifts_since is read once more.
ALTER TABLE virtuous_configs ADD COLUMN read_since timestamptz;

-- +goose Down
ALTER TABLE virtuous_configs DROP COLUMN read_since;
