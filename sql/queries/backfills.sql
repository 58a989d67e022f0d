-- name: RunInsertIfNoneOpen :one
INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at)
VALUES ($1, $2, $3, 'queued', rollcall_now(), rollcall_now(), rollcall_now())
ON CONFLICT (customer_id) WHERE state IN ('queued', 'running', 'parked', 'paused') DO NOTHING
RETURNING id;

-- name: RunOpenForCustomer :one
SELECT * FROM backfill_runs WHERE customer_id = $1 AND state IN ('queued', 'running', 'parked', 'paused');

-- name: RunDueWaitSeconds :one
SELECT (extract(epoch FROM (due_at - rollcall_now())))::double precision AS wait_seconds
FROM backfill_runs WHERE id = $1;

-- name: RunGet :one
SELECT * FROM backfill_runs WHERE id = $1;

-- name: RunLatestForCustomer :one
SELECT * FROM backfill_runs WHERE customer_id = $1 ORDER BY id DESC LIMIT 1;

-- name: RunPage :many
SELECT * FROM backfill_runs WHERE id < sqlc.arg(before) ORDER BY id DESC LIMIT sqlc.arg(page_size);

-- name: RunClaimIfOpen :one
-- A holder that slept since it took the lane must not take the run from a later one: epochs only grow.
UPDATE backfill_runs
SET state = 'running', attempts = attempts + 1, epoch = sqlc.arg(epoch), updated_at = rollcall_now(),
    started_at = coalesce(started_at, rollcall_now())
WHERE id = sqlc.arg(id) AND state IN ('queued', 'running', 'parked') AND (epoch IS NULL OR epoch <= sqlc.arg(epoch))
RETURNING *;

-- name: RunAdvanceOrFail :exec
-- The page that was committed with this: the cursor moves, and what counted against the run is forgotten.
WITH advanced AS (
UPDATE backfill_runs
SET next_page = sqlc.arg(next_page), scan_started_at = coalesce(scan_started_at, sqlc.arg(scan_started_at)),
    highest_seen = greatest(highest_seen, sqlc.narg(highest_seen)), last_total = sqlc.narg(last_total),
    phase = sqlc.arg(phase), furthest_page = sqlc.arg(furthest_page), steps_back = sqlc.arg(steps_back),
    reread_pages = sqlc.arg(reread_pages), doubt = sqlc.arg(doubt), stale_pages = sqlc.arg(stale_pages),
    window_from = sqlc.narg(window_from), window_to = sqlc.narg(window_to),
    window_unit = sqlc.arg(window_unit), window_reading = sqlc.arg(window_reading), window_total = sqlc.narg(window_total),
    window_tries = sqlc.arg(window_tries), unsettled = sqlc.arg(unsettled), pass = sqlc.arg(pass),
    pages = pages + 1, processed = processed + sqlc.arg(processed), written = written + sqlc.arg(written),
    skipped = skipped + sqlc.arg(skipped), failures = failures + sqlc.arg(failures), recovered = recovered + sqlc.arg(recovered),
    active_seconds = active_seconds + sqlc.arg(active_seconds), attempts = 0, parks = 0, refusals = 0, park_reason = NULL,
    updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch)
RETURNING id)
SELECT CASE count(*) WHEN 1 THEN 1 ELSE lane_lost() END FROM advanced;

-- name: RunParkIfRunning :execrows
-- A park is no attempt: the claim that led to it is given back.
UPDATE backfill_runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = nullif(sqlc.arg(park_detail)::text, ''),
    park_since = CASE WHEN parks > 0 AND park_reason NOT IN ('lane_wanted', 'not_before', 'quiet_hours')
                      THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    parks = parks + 1, attempts = greatest(attempts - 1, 0),
    due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunSetRefusals :exec
UPDATE backfill_runs SET refusals = sqlc.arg(refusals) WHERE id = sqlc.arg(id);

-- name: RunRequeueIfRunning :execrows
-- Handed back with its cursor: by a worker that stops, or that has used up its turn.
UPDATE backfill_runs
SET state = 'queued', attempts = greatest(attempts - 1, 0), due_at = rollcall_now(), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunUncountClaim :exec
-- The claim's worker could do nothing, and did not die of the run. Another worker's claim, which has a later epoch, stays counted.
UPDATE backfill_runs SET attempts = greatest(attempts - 1, 0)
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunFinishIfRunning :execrows
UPDATE backfill_runs
SET state = sqlc.arg(state), verified = sqlc.narg(verified), failure = sqlc.narg(failure), completed_at = rollcall_now(), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunCancelOpen :one
UPDATE backfill_runs SET state = 'cancelled', completed_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = $1 AND state IN ('queued', 'running', 'parked', 'paused')
RETURNING id, job_id, processed, failures;

-- name: RunUnparkIfParked :one
-- The reason stays until a page is committed: that is when an alert for it is cleared.
UPDATE backfill_runs SET state = 'queued', due_at = rollcall_now(), parks = 0, refusals = 0, updated_at = rollcall_now()
WHERE customer_id = $1 AND state = 'parked'
RETURNING id;

-- name: RunComeAgain :execrows
-- A run that waits for a slot stays parked for the same reason, since the same time: it was not tried.
UPDATE backfill_runs SET state = 'parked', due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state IN ('queued', 'parked');

-- name: RunWaitsBeside :one
-- Whether a run waits for a worker that no destination's silence has parked.
SELECT EXISTS (
    SELECT FROM backfill_runs r
    WHERE r.state IN ('queued', 'running', 'parked') AND r.state = 'queued' AND r.due_at <= rollcall_now()
      AND r.park_reason IS DISTINCT FROM sqlc.arg(park_reason)
      AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now() OFFSET 0)
      AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = r.customer_id
                      AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
    ORDER BY r.due_at LIMIT 1)::boolean;

-- name: RunsWakeDueParked :many
-- Parked runs whose time has come, each woken by one process only.
UPDATE backfill_runs SET state = 'queued', updated_at = rollcall_now()
WHERE id IN (
    SELECT p.id FROM backfill_runs p WHERE p.state = 'parked' AND p.due_at <= rollcall_now()
      AND NOT EXISTS (SELECT 1 FROM sync_configs c WHERE c.customer_id = p.customer_id AND (NOT c.enabled OR c.paused_at IS NOT NULL))
    ORDER BY p.due_at LIMIT 100 FOR UPDATE OF p SKIP LOCKED)
RETURNING id, customer_id;

-- name: RunsUnattended :many
-- Unfinished runs that are due and that no worker has: what a lost message, stream or worker leaves behind. One that was
-- touched within a minute has a message under way.
SELECT r.id, r.customer_id FROM backfill_runs r
LEFT JOIN customer_leases l ON l.customer_id = r.customer_id AND l.expires_at > rollcall_now()
WHERE r.state IN ('queued', 'running') AND r.due_at <= rollcall_now() AND l.customer_id IS NULL AND r.id > sqlc.arg(after)
  AND r.updated_at <= rollcall_now() - interval '1 minute'
  AND NOT EXISTS (SELECT 1 FROM sync_configs c WHERE c.customer_id = r.customer_id AND (NOT c.enabled OR c.paused_at IS NOT NULL))
ORDER BY r.id LIMIT sqlc.arg(page_size);

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
      AND j.job IN ('user_sync_poll', 'user_daily', 'dlq_retry', 'user_resync')
      AND EXISTS (SELECT FROM job_log n WHERE n.customer_id = j.customer_id AND n.job = j.job AND n.started_at > j.started_at
                  AND n.completed_at IS NOT NULL)
    ORDER BY j.completed_at LIMIT sqlc.arg(at_most) FOR UPDATE OF j SKIP LOCKED));
