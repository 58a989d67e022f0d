-- +goose NO TRANSACTION
-- +goose Up
-- A donation by its trace, which begins with "00-" and the trace's id.
DROP INDEX CONCURRENTLY IF EXISTS virtuous_donation_queue_trace;
CREATE INDEX CONCURRENTLY virtuous_donation_queue_trace ON virtuous_donation_queue (trace_id COLLATE "C") WHERE trace_id IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS virtuous_donation_queue_trace;
