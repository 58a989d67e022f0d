-- +goose NO TRANSACTION
-- +goose Up
-- The foreign key to job_log: without an index each line that is deleted there reads all runs.
DROP INDEX CONCURRENTLY IF EXISTS backfill_runs_job;
CREATE INDEX CONCURRENTLY backfill_runs_job ON backfill_runs (job_id);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS backfill_runs_job;
