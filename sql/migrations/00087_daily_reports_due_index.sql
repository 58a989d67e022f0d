-- +goose NO TRANSACTION
-- +goose Up
-- The daily report is made also for a customer whose key was rejected; only giving that was removed has none.
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_daily_due;
CREATE INDEX CONCURRENTLY virtuous_configs_daily_due ON virtuous_configs (next_report_at) WHERE removed_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_report_due;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_report_due;
CREATE INDEX CONCURRENTLY virtuous_configs_report_due ON virtuous_configs (next_report_at) WHERE enabled;
DROP INDEX CONCURRENTLY IF EXISTS virtuous_configs_daily_due;
