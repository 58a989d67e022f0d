-- +goose NO TRANSACTION
-- +goose Up
-- The customers that were offboarded: those that a service of the version before offboarded have no row in offboardings yet.
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_offboarded;
CREATE INDEX CONCURRENTLY sync_configs_offboarded ON sync_configs (customer_id) WHERE offboarded_at IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_offboarded;
