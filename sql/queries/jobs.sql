-- name: JobStart :one
INSERT INTO job_log (customer_id, job, trace_id, started_at) VALUES ($1, $2, $3, rollcall_now()) RETURNING id;

-- name: JobFinishIfOpen :execrows
UPDATE job_log
SET outcome = sqlc.arg(outcome), processed_count = sqlc.arg(processed_count), failure_count = sqlc.arg(failure_count),
    error_code = sqlc.narg(error_code), completed_at = rollcall_now()
WHERE id = sqlc.arg(id) AND completed_at IS NULL;

-- name: JobsForget :execrows
-- Closed lines of jobs that come again and again, but for each customer's newest. The lines of backfills stay.
DELETE FROM job_log d WHERE d.id = ANY(ARRAY(
    SELECT j.id FROM job_log j
    WHERE j.completed_at < rollcall_now() - sqlc.arg(older_than)::interval
      AND j.job NOT IN ('initial_backfill', 'full_resync')
      AND EXISTS (SELECT FROM job_log n WHERE n.customer_id = j.customer_id AND n.job = j.job AND n.started_at > j.started_at
                  AND n.completed_at IS NOT NULL)
    ORDER BY j.completed_at LIMIT sqlc.arg(at_most) FOR UPDATE OF j SKIP LOCKED));

-- name: JobLatest :one
SELECT id, outcome, trace_id, processed_count, failure_count, error_code, started_at, completed_at FROM job_log
WHERE customer_id = $1 AND job = $2 AND completed_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1;

-- name: JobsLatestFor :many
-- One by one along the index: a customer's log has a line for each poll of years.
SELECT v.customer_id::text AS customer_id, j.outcome
FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id) v
CROSS JOIN LATERAL (
    SELECT l.outcome FROM job_log l
    WHERE l.customer_id = v.customer_id AND l.job = sqlc.arg(job) AND l.completed_at IS NOT NULL
    ORDER BY l.started_at DESC, l.id DESC LIMIT 1) j;
