-- +goose Up
-- The headers of a message letter's message, sealed as its payload is; null for letters of the version before.
ALTER TABLE dead_letters ADD COLUMN headers_sealed bytea;

-- +goose Down
ALTER TABLE dead_letters DROP COLUMN headers_sealed;
