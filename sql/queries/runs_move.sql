-- name: MoveCustomersOfBackfills :many
-- Customers behind that one with an unfinished backfill in the table of the version before, in the order of their ids.
SELECT b.customer_id FROM backfill_runs b
WHERE b.state IN ('queued', 'running', 'parked', 'paused') AND b.customer_id > sqlc.arg(after)
ORDER BY b.customer_id LIMIT sqlc.arg(at_most);

-- name: MoveCustomersOfScheduled :many
-- The same for polls and reconciliations.
SELECT s.customer_id FROM sync_runs s WHERE s.kind = sqlc.arg(kind) AND s.customer_id > sqlc.arg(after)
ORDER BY s.customer_id LIMIT sqlc.arg(at_most);

-- name: MoveTakeLanes :many
-- A new epoch for those of these lanes that are free, and the lock on their rows until the transaction ends: a worker that
-- held one of them before, and slept, commits nothing more.
INSERT INTO customer_leases (customer_id, epoch, holder, expires_at, wanted)
SELECT v.customer_id, 1, 'move', rollcall_now(), false FROM unnest(sqlc.arg(customer_ids)::text[]) AS v(customer_id) ORDER BY v.customer_id
ON CONFLICT (customer_id) DO UPDATE SET epoch = customer_leases.epoch + 1, wanted = false
WHERE customer_leases.expires_at <= rollcall_now()
RETURNING customer_id;

-- name: MoveLockBackfills :many
SELECT id, rewrite_before, customer_id FROM backfill_runs
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND state IN ('queued', 'running', 'parked', 'paused') ORDER BY id FOR UPDATE;

-- name: MoveLockScheduled :many
SELECT id FROM sync_runs WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND kind = ANY(sqlc.arg(kinds)::text[]) ORDER BY id FOR UPDATE;

-- name: MoveBackfills :exec
-- The rows are locked. An unfinished one is dropped, and its line in the job log ends, if the new table has an unfinished one
-- of the customer.
WITH moved AS (
    INSERT INTO runs SELECT r.* FROM all_runs r WHERE r.kind = 'backfill' AND r.id = ANY(sqlc.arg(ids)::bigint[])
    ON CONFLICT DO NOTHING RETURNING job_id
), deleted AS (
    DELETE FROM backfill_runs WHERE id = ANY(sqlc.arg(ids)::bigint[]) RETURNING job_id, processed, failures
)
UPDATE job_log j
SET outcome = 'failed', error_code = 'superseded', processed_count = d.processed, failure_count = d.failures, completed_at = rollcall_now()
FROM deleted d WHERE j.id = d.job_id AND j.completed_at IS NULL AND NOT EXISTS (SELECT FROM moved m WHERE m.job_id = d.job_id);

-- name: MoveScheduled :exec
-- As MoveBackfills. The runs get new ids: theirs may be ids of other runs.
WITH moved AS (
    INSERT INTO runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, cursor, scan_started_at, highest_seen,
                      pages, processed, written, failures, attempts, parks, park_reason, park_detail, park_since, refusals, due_at, epoch,
                      created_at, updated_at)
    SELECT customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, cursor, scan_started_at, highest_seen,
           pages, processed, written, failures, attempts, parks, park_reason, park_detail, park_since, refusals, due_at, epoch,
           created_at, updated_at
    FROM sync_runs WHERE id = ANY(sqlc.arg(ids)::bigint[])
    ON CONFLICT DO NOTHING RETURNING job_id
), deleted AS (
    DELETE FROM sync_runs WHERE id = ANY(sqlc.arg(ids)::bigint[]) RETURNING job_id, processed, failures
)
UPDATE job_log j
SET outcome = 'failed', error_code = 'superseded', processed_count = d.processed, failure_count = d.failures, completed_at = rollcall_now()
FROM deleted d WHERE j.id = d.job_id AND j.completed_at IS NULL AND NOT EXISTS (SELECT FROM moved m WHERE m.job_id = d.job_id);

-- name: BackfillMoved :one
SELECT * FROM runs WHERE customer_id = $1 AND kind = 'backfill' AND state IN ('queued', 'running', 'parked', 'paused');
