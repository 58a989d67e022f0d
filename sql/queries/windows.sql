-- name: RunPutOffIfWaiting :execrows
-- A run that no worker has waits for its time. Waiting is no failure: neither parks nor attempts grow.
UPDATE backfill_runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = NULL, due_at = sqlc.arg(due_at),
    park_since = CASE WHEN state = 'parked' AND park_reason = sqlc.arg(park_reason) THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state IN ('queued', 'parked');

-- name: RunPutOffIfRunning :execrows
-- The same by the worker that has it: the claim is given back.
UPDATE backfill_runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = NULL, park_since = rollcall_now(), due_at = sqlc.arg(due_at),
    attempts = greatest(attempts - 1, 0), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);
