-- +goose Up
-- As 00010 has it for backfills: a step locks one table.
ALTER TABLE sync_runs ADD COLUMN IF NOT EXISTS refusals integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE sync_runs DROP COLUMN refusals;
