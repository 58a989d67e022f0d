-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_participations_due;
CREATE INDEX CONCURRENTLY sync_configs_participations_due ON sync_configs (next_participations_at)
    WHERE participations AND enabled AND paused_at IS NULL AND offboarded_at IS NULL AND backfill_completed_at IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sync_configs_participations_due;
