-- +goose Up
-- How far VOMO's updated_at lie behind its clock, as far as is known: polls ask for changes from so much earlier. Null: they do not lag.
ALTER TABLE sync_configs
    ADD COLUMN stamp_lag_minutes integer,
    ADD COLUMN stamp_lag_since   timestamptz,
    ADD COLUMN stamp_lag_seen_at timestamptz;             -- when a change last came so late

-- +goose Down
ALTER TABLE sync_configs DROP COLUMN stamp_lag_minutes, DROP COLUMN stamp_lag_since, DROP COLUMN stamp_lag_seen_at;
