-- name: ReconciliationLatest :one
SELECT type, date, expected_count, gap_count, failure_count, verified, started_at, completed_at FROM reconciliation_runs
WHERE customer_id = sqlc.arg(customer_id) AND type = sqlc.arg(type) ORDER BY date DESC, id DESC LIMIT 1;

-- name: JobsLatestFor :many
-- One by one along the index: a customer's log has a line for each poll of years.
SELECT v.customer_id::text AS customer_id, j.outcome
FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id) v
CROSS JOIN LATERAL (
    SELECT l.outcome FROM job_log l
    WHERE l.customer_id = v.customer_id AND l.job = sqlc.arg(job) AND l.completed_at IS NOT NULL
    ORDER BY l.started_at DESC, l.id DESC LIMIT 1) j;

-- name: RewritesOwedFor :many
-- Of these customers those whose last rewrite was not completed.
SELECT r.customer_id FROM (
    SELECT DISTINCT ON (l.customer_id) l.customer_id, l.state FROM backfill_runs l
    WHERE l.customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND l.rewrite_before IS NOT NULL
    ORDER BY l.customer_id, l.id DESC) r
WHERE r.state <> 'completed';

-- name: SyncRunsRequeue :many
-- Whatever state a pause found them in: the worker of one was fenced.
UPDATE sync_runs SET state = 'queued', due_at = rollcall_now(), parks = 0, attempts = 0, updated_at = rollcall_now()
WHERE customer_id = $1
RETURNING id, kind;

-- name: RunRequeueIfOpen :one
-- The same for the customer's backfill; one that an operator paused by itself stays paused.
UPDATE backfill_runs SET state = 'queued', due_at = rollcall_now(), parks = 0, attempts = 0, updated_at = rollcall_now()
WHERE customer_id = $1 AND state IN ('queued', 'running', 'parked')
RETURNING id;
