-- name: RunsStart :many
-- A run for each of these customers that has no unfinished one of the kind, from its checkpoint, or from before it if VOMO's
-- timestamps lag, with its line in the job log.
WITH wanted AS (
    SELECT v.customer_id, v.trace_id, p.checkpoint, make_interval(mins => coalesce(c.stamp_lag_minutes, 0)) AS lag
    FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id, unnest(sqlc.arg(trace_ids)::text[]) AS trace_id) v
    JOIN sync_checkpoints p ON p.customer_id = v.customer_id AND p.resource = 'user_sync'
    LEFT JOIN sync_configs c ON c.customer_id = v.customer_id
    WHERE NOT EXISTS (SELECT FROM all_runs r WHERE r.customer_id = v.customer_id AND r.kind = sqlc.arg(kind)
                      AND r.state IN ('queued', 'running', 'parked', 'paused') OFFSET 0)
), logged AS (
    INSERT INTO job_log (customer_id, job, trace_id, started_at)
    SELECT w.customer_id, sqlc.arg(job), w.trace_id, rollcall_now() FROM wanted w
    RETURNING id, customer_id, trace_id
)
INSERT INTO runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, cursor, due_at, created_at, updated_at)
SELECT l.customer_id, sqlc.arg(kind), l.id, l.trace_id, 'queued',
       CASE WHEN NOT sqlc.arg(all_users)::boolean THEN coalesce(sqlc.narg(updated_after)::timestamptz, w.checkpoint - w.lag) END,
       w.checkpoint, sqlc.narg(day)::date, coalesce(sqlc.narg(cursor)::jsonb, '{}'), rollcall_now(), rollcall_now(), rollcall_now()
FROM logged l JOIN wanted w ON w.customer_id = l.customer_id
RETURNING id, customer_id, kind, trace_id;

-- name: RunOpen :one
-- A run that was moved comes before one that was not: that is the one a worker claims.
SELECT r.* FROM all_runs r
WHERE r.customer_id = sqlc.arg(customer_id) AND r.kind = sqlc.arg(kind) AND r.state IN ('queued', 'running', 'parked', 'paused')
ORDER BY r.job_id = (
    SELECT m.job_id FROM runs m
    WHERE m.customer_id = sqlc.arg(customer_id) AND m.kind = sqlc.arg(kind) AND m.state IN ('queued', 'running', 'parked', 'paused')) DESC
LIMIT 1;

-- name: RunsParkedFor :many
-- The polls and reconciliations of these customers that make no progress: the reason stays until a page is committed. A refresh of
-- participations that paces itself makes progress.
SELECT customer_id, kind, state, parks, park_reason, park_detail, park_since, due_at FROM all_runs
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND kind <> 'backfill' AND park_reason <> 'paced'
  AND state IN ('queued', 'running', 'parked')
ORDER BY customer_id, kind;

-- name: RunClaimIfOpen :one
-- A holder that slept since it took the lane must not take the run from a later one: epochs only grow.
UPDATE runs
SET state = 'running', attempts = attempts + 1, epoch = sqlc.arg(epoch), updated_at = rollcall_now(),
    started_at = coalesce(started_at, rollcall_now())
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND state IN ('queued', 'running', 'parked')
  AND (epoch IS NULL OR epoch <= sqlc.arg(epoch))
RETURNING *;

-- name: RunClaimInLane :one
-- RunClaimIfOpen with the epoch of the lane that the holder has taken in the same transaction; no row if it has not.
UPDATE runs
SET state = 'running', attempts = runs.attempts + 1, epoch = l.epoch, updated_at = rollcall_now(),
    started_at = coalesce(runs.started_at, rollcall_now())
FROM customer_leases l
WHERE runs.customer_id = sqlc.arg(customer_id) AND runs.kind = sqlc.arg(kind) AND runs.state IN ('queued', 'running', 'parked')
  AND l.customer_id = runs.customer_id AND l.holder = sqlc.arg(holder) AND (runs.epoch IS NULL OR runs.epoch <= l.epoch)
RETURNING runs.*;

-- name: RunAdvanceOrFail :exec
-- For the page that is committed with this: the cursor moves, and what counted against the run is forgotten.
WITH advanced AS (
UPDATE runs
SET cursor = sqlc.arg(cursor), scan_started_at = coalesce(scan_started_at, sqlc.arg(scan_started_at)),
    highest_seen = greatest(highest_seen, sqlc.narg(highest_seen)), pages = pages + sqlc.arg(pages),
    processed = processed + sqlc.arg(processed), written = written + sqlc.arg(written), skipped = skipped + sqlc.arg(skipped),
    failures = failures + sqlc.arg(failures), recovered = recovered + sqlc.arg(recovered),
    active_seconds = active_seconds + sqlc.arg(active_seconds), attempts = 0, parks = 0, refusals = 0, park_reason = NULL,
    updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch)
RETURNING id)
SELECT CASE count(*) WHEN 1 THEN 1 ELSE lane_lost() END FROM advanced;

-- name: RunParkIfRunning :execrows
-- A park is no attempt: the claim that led to it does not count.
UPDATE runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = nullif(sqlc.arg(park_detail)::text, ''),
    park_since = CASE WHEN parks > 0 AND park_reason NOT IN ('lane_wanted', 'not_before', 'quiet_hours', 'paced')
                      THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    parks = parks + 1, attempts = greatest(attempts - 1, 0),
    due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunSetRefusals :exec
UPDATE runs SET refusals = sqlc.arg(refusals) WHERE id = sqlc.arg(id);

-- name: RunHandBackIfRunning :execrows
-- The run is due again in a moment: a request that was published now would meet the one that is being worked, and be dropped.
UPDATE runs
SET state = 'parked', attempts = greatest(attempts - 1, 0), due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunUncountClaimOf :exec
-- RunUncountClaim for a holder that does not know its epoch, because it had no answer to its claim.
UPDATE runs SET attempts = greatest(runs.attempts - 1, 0)
FROM customer_leases l
WHERE runs.customer_id = sqlc.arg(customer_id) AND runs.kind = sqlc.arg(kind) AND runs.state = 'running'
  AND l.customer_id = runs.customer_id AND l.holder = sqlc.arg(holder) AND runs.epoch = l.epoch;

-- name: RunUncountClaim :exec
-- The worker could do nothing, and did not die of the run. The claim of another worker has a later epoch and still counts.
UPDATE runs SET attempts = greatest(attempts - 1, 0)
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunPutOffIfWaiting :execrows
-- A run that no worker has waits for its time. Waiting is no failure: neither parks nor attempts grow.
UPDATE runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = NULL, due_at = sqlc.arg(due_at),
    park_since = CASE WHEN state = 'parked' AND park_reason = sqlc.arg(park_reason) THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND state IN ('queued', 'parked');

-- name: RunPutOffIfRunning :execrows
-- The same by the worker that has it: its claim does not count.
UPDATE runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = NULL, park_since = rollcall_now(), due_at = sqlc.arg(due_at),
    attempts = greatest(attempts - 1, 0), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: RunDelayIfWaiting :execrows
-- A run that waits for a slot stays parked for the same reason, since the same time: it was not tried.
UPDATE runs SET state = 'parked', due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND state IN ('queued', 'parked');

-- name: RunEndOrFail :exec
-- Deletes the run and ends its line in the job log.
WITH ended AS (
    DELETE FROM runs r WHERE r.id = sqlc.arg(id) AND r.state = 'running' AND r.epoch = sqlc.arg(epoch) RETURNING r.job_id
), logged AS (
    UPDATE job_log j
    SET outcome = sqlc.arg(outcome), processed_count = sqlc.arg(processed_count), failure_count = sqlc.arg(failure_count),
        error_code = sqlc.narg(error_code), completed_at = rollcall_now()
    FROM ended e WHERE j.id = e.job_id AND j.completed_at IS NULL
)
SELECT CASE count(*) WHEN 1 THEN 1 ELSE lane_lost() END FROM ended;

-- name: RunsDeleteScheduled :many
-- The next page of a worker finds its run gone, and is not committed.
DELETE FROM runs
WHERE customer_id = $1 AND kind <> 'backfill' AND state IN ('queued', 'running', 'parked') RETURNING job_id, processed, failures;

-- name: RunsUnpark :many
-- What waited for a token, a resumption or a destination is due at once. The reason stays until a page is committed, when an
-- alert for it is cleared.
UPDATE runs SET state = 'queued', due_at = rollcall_now(), parks = 0, refusals = 0, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND kind = ANY(sqlc.arg(kinds)::text[]) AND state = 'parked'
RETURNING id, customer_id, kind, trace_id;

-- name: RunsRequeue :many
-- Whatever state a pause of the customer found them in: the worker of one was fenced. A backfill that an operator paused
-- stays paused.
UPDATE runs SET state = 'queued', due_at = rollcall_now(), parks = 0, attempts = 0, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND kind = ANY(sqlc.arg(kinds)::text[]) AND state IN ('queued', 'running', 'parked')
RETURNING id, customer_id, kind, trace_id;

-- name: RunsBlameVomo :exec
-- What was parked for the token is parked for VOMO, and tried again soon, not all at once.
UPDATE runs
SET park_reason = 'vomo_unavailable', park_detail = sqlc.arg(park_detail)::text,
    due_at = rollcall_now() + random() * interval '20 seconds' + interval '5 seconds', updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND state = 'parked' AND park_reason = 'auth_failed';

-- name: RunsWaitBeside :one
-- Whether a run waits for a worker that was not parked for this reason.
SELECT (EXISTS (
    SELECT FROM runs r
    WHERE r.kind = sqlc.arg(kind)::text AND r.state IN ('queued', 'running') AND r.state = 'queued' AND r.due_at <= rollcall_now() AND r.park_reason IS DISTINCT FROM sqlc.narg(park_reason)::text
      AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now() OFFSET 0)
      AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = r.customer_id
                      AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
    ORDER BY r.due_at LIMIT 1) OR sqlc.arg(kind)::text = 'backfill' AND EXISTS (
    SELECT FROM backfill_runs r
    WHERE r.state IN ('queued', 'running', 'parked') AND r.state = 'queued' AND r.due_at <= rollcall_now() AND r.park_reason IS DISTINCT FROM sqlc.narg(park_reason)::text
      AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now() OFFSET 0)
      AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = r.customer_id
                      AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
    ORDER BY r.due_at LIMIT 1))::boolean;

-- name: RunsWakeDueParked :many
-- Parked runs whose time has come, each woken by one process only.
UPDATE runs SET state = 'queued', updated_at = rollcall_now()
WHERE id = ANY(ARRAY(
    SELECT p.id FROM runs p
    WHERE p.kind = sqlc.arg(kind) AND p.state = 'parked' AND p.due_at <= rollcall_now()
      AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = p.customer_id
                      AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
    ORDER BY p.due_at LIMIT 100 FOR UPDATE OF p SKIP LOCKED))
RETURNING id, customer_id, kind, trace_id;

-- name: RunsUnattended :many
-- Unfinished runs that are due and that no worker has: what a lost message, stream or worker leaves behind. A run that was
-- touched within a minute has a message on its way. OFFSET 0 has Postgres look up the customers of these runs, and not read all.
SELECT r.id, r.customer_id, r.kind, r.trace_id FROM runs r
WHERE r.kind = sqlc.arg(kind) AND r.state IN ('queued', 'running') AND r.due_at <= rollcall_now()
  AND r.id > sqlc.arg(after) AND r.updated_at <= rollcall_now() - interval '1 minute'
  AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now() OFFSET 0)
  AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = r.customer_id
                  AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
ORDER BY r.id LIMIT sqlc.arg(page_size);
