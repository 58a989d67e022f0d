-- +goose Up
-- When a customer's users are next searched for deletions, and how many the last such scan read.
ALTER TABLE sync_configs ADD COLUMN next_deletion_scan_at timestamptz, ADD COLUMN last_scan_users bigint;

-- +goose Down
ALTER TABLE sync_configs DROP COLUMN next_deletion_scan_at, DROP COLUMN last_scan_users;
