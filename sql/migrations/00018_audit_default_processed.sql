-- +goose NO TRANSACTION
-- +goose Up
-- Whether the default partition holds rows of a month is asked before that month gets a partition of its own.
DROP INDEX CONCURRENTLY IF EXISTS sync_audit_default_processed;
CREATE INDEX CONCURRENTLY sync_audit_default_processed ON sync_audit_default (processed_at);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS sync_audit_default_processed;
