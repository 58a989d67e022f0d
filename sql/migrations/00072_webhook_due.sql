-- +goose Up
-- When the customer's webhook subscription is to be created at Virtuous; null: it exists, or none is wanted.
ALTER TABLE virtuous_configs ADD COLUMN webhook_due_at timestamptz, ADD COLUMN webhook_attempts integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE virtuous_configs DROP COLUMN webhook_attempts, DROP COLUMN webhook_due_at;
