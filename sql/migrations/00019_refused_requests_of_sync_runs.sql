-- +goose Up
-- As 00009 has it for backfills: a step locks one table.
ALTER TABLE sync_runs ADD COLUMN refusals integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE sync_runs DROP COLUMN refusals;
