-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_webhook_due;
CREATE INDEX CONCURRENTLY virtuous_configs_webhook_due ON virtuous_configs (webhook_due_at) WHERE webhook_due_at IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_webhook_due;
