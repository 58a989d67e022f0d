-- +goose NO TRANSACTION
-- +goose Up
-- A row of the category 'report' waits for the other categories of the daily run.
DROP INDEX CONCURRENTLY IF EXISTS giving_reconciliations_reports;
CREATE INDEX CONCURRENTLY giving_reconciliations_reports ON giving_reconciliations (asked_at) WHERE category = 'report';

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS giving_reconciliations_reports;
