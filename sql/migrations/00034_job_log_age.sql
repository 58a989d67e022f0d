-- +goose NO TRANSACTION
-- +goose Up
-- As job_log_age, which stays for services of the version before, and with the lines of deletion scans.
DROP INDEX CONCURRENTLY IF EXISTS job_log_ended;
CREATE INDEX CONCURRENTLY job_log_ended ON job_log (completed_at)
    WHERE job IN ('user_sync_poll', 'user_daily', 'user_deletions', 'dlq_retry', 'user_resync');

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS job_log_ended;
