-- +goose Up
-- As 00010 has it for backfills: a step locks one table.
ALTER TABLE sync_runs ADD COLUMN park_since timestamptz, ADD COLUMN park_detail text;

-- +goose Down
ALTER TABLE sync_runs DROP COLUMN park_since, DROP COLUMN park_detail;
