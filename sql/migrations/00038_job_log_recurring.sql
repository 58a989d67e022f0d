-- +goose NO TRANSACTION
-- +goose Up
-- Ended lines of jobs that come again and again, whatever their names. It replaces job_log_ended, which named them. job_log_age is
-- for services of the version before, and goes with the next release.
DROP INDEX CONCURRENTLY IF EXISTS job_log_recurring;
CREATE INDEX CONCURRENTLY job_log_recurring ON job_log (completed_at) WHERE job NOT IN ('initial_backfill', 'full_resync');
DROP INDEX CONCURRENTLY IF EXISTS job_log_ended;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS job_log_recurring;
