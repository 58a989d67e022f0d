-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_inactive;
CREATE INDEX CONCURRENTLY sync_configs_inactive ON sync_configs (customer_id)
    WHERE offboarded_at IS NULL AND (NOT enabled OR paused_at IS NOT NULL);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_inactive;
