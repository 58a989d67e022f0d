-- +goose Up
-- Which side is right about a field of a contact: {"policy":"…","owners":{"email":"partner"}}. {} is the default, virtuous_canonical.
ALTER TABLE virtuous_configs ADD COLUMN resolution jsonb NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE virtuous_configs DROP COLUMN resolution;
