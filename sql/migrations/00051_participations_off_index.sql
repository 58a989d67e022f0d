-- +goose NO TRANSACTION
-- +goose Up
-- Customers whose participations are no longer read, and of which there may still be rows.
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_participations_off;
CREATE INDEX CONCURRENTLY sync_configs_participations_off ON sync_configs (customer_id)
    WHERE NOT participations AND next_participations_at > '1970-01-01T00:00:00Z';

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_participations_off;
