-- +goose Up
-- The fields that the customer's external system owns, and whether it may add users: {"fields":["phone"],"create":false}. Null:
-- nothing is written to VOMO.
ALTER TABLE sync_configs ADD COLUMN write_back jsonb;

-- +goose Down
ALTER TABLE sync_configs DROP COLUMN write_back;
