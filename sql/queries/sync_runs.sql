-- name: SyncRunsStartDuePolls :many
-- Polls of customers whose time has come: each is scheduled by one process, and moves on to the next place of its
-- cadence, whether or not the one before is still under way. That one stands for both: nothing is queued twice.
-- Those without a time are looked for by themselves, so that the index has the order of the others.
WITH untimed AS (
    SELECT c.customer_id FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_poll_at IS NULL
    LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
), timed AS (
    SELECT c.customer_id FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_poll_at <= rollcall_now()
    ORDER BY c.next_poll_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE sync_configs c SET next_poll_at = next_poll_slot(c.customer_id, c.poll_cadence_minutes, rollcall_now())
    WHERE c.customer_id = ANY(ARRAY(SELECT u.customer_id FROM untimed u UNION ALL SELECT t.customer_id FROM timed t)) RETURNING c.customer_id
)
SELECT m.customer_id FROM moved m;

-- name: SyncRunsStart :many
-- A run for each of these customers who has none of the kind, from its checkpoint, or before it if VOMO's stamps lag, with its
-- line in the job log.
WITH wanted AS (
    SELECT v.customer_id, v.trace_id, p.checkpoint, make_interval(mins => coalesce(c.stamp_lag_minutes, 0)) AS lag
    FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id, unnest(sqlc.arg(trace_ids)::text[]) AS trace_id) v
    JOIN sync_checkpoints p ON p.customer_id = v.customer_id AND p.resource = 'user_sync'
    LEFT JOIN sync_configs c ON c.customer_id = v.customer_id
    WHERE NOT EXISTS (SELECT 1 FROM sync_runs r WHERE r.customer_id = v.customer_id AND r.kind = sqlc.arg(kind))
), logged AS (
    INSERT INTO job_log (customer_id, job, trace_id, started_at)
    SELECT w.customer_id, sqlc.arg(job), w.trace_id, rollcall_now() FROM wanted w
    RETURNING id, customer_id, trace_id
)
INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, due_at, created_at, updated_at)
SELECT l.customer_id, sqlc.arg(kind), l.id, l.trace_id, 'queued', coalesce(sqlc.narg(updated_after)::timestamptz, w.checkpoint - w.lag),
       w.checkpoint, sqlc.narg(day)::date, rollcall_now(), rollcall_now(), rollcall_now()
FROM logged l JOIN wanted w ON w.customer_id = l.customer_id
RETURNING id, customer_id;

-- name: SyncRunsParkedFor :many
-- Of these customers the runs that do not get on: their reason stays until a page is committed.
SELECT customer_id, kind, state, parks, park_reason, park_detail, park_since, due_at FROM sync_runs
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND park_reason IS NOT NULL
ORDER BY customer_id, kind;

-- name: SyncRunOpen :one
SELECT * FROM sync_runs WHERE customer_id = $1 AND kind = $2;

-- name: SyncRunClaimIfOpen :one
-- A holder that slept since it took the lane must not take the run from a later one: epochs only grow.
UPDATE sync_runs SET state = 'running', attempts = attempts + 1, epoch = sqlc.arg(epoch), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND (epoch IS NULL OR epoch <= sqlc.arg(epoch))
RETURNING *;

-- name: SyncRunAdvanceOrFail :exec
WITH advanced AS (
UPDATE sync_runs
SET cursor = sqlc.arg(cursor), scan_started_at = coalesce(scan_started_at, sqlc.arg(scan_started_at)),
    highest_seen = greatest(highest_seen, sqlc.narg(highest_seen)), pages = pages + 1,
    processed = processed + sqlc.arg(processed), written = written + sqlc.arg(written), failures = failures + sqlc.arg(failures),
    attempts = 0, parks = 0, refusals = 0, park_reason = NULL, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch)
RETURNING id)
SELECT CASE count(*) WHEN 1 THEN 1 ELSE lane_lost() END FROM advanced;

-- name: SyncRunParkIfRunning :execrows
-- A park is no attempt: the claim that led to it is given back.
UPDATE sync_runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = nullif(sqlc.arg(park_detail)::text, ''),
    park_since = CASE WHEN parks > 0 AND park_reason <> 'lane_wanted' THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    parks = parks + 1, attempts = greatest(attempts - 1, 0),
    due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: SyncRunSetRefusals :exec
UPDATE sync_runs SET refusals = sqlc.arg(refusals) WHERE id = sqlc.arg(id);

-- name: SyncRunHandBackIfRunning :execrows
-- Due again in a moment: a request that was published now would meet the one that is being worked, and be dropped.
UPDATE sync_runs
SET state = 'parked', attempts = greatest(attempts - 1, 0), due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: SyncRunUncountClaim :exec
-- As RunUncountClaim.
UPDATE sync_runs SET attempts = greatest(attempts - 1, 0)
WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: SyncRunEndIfRunning :execrows
DELETE FROM sync_runs WHERE id = sqlc.arg(id) AND state = 'running' AND epoch = sqlc.arg(epoch);

-- name: SyncRunsDrop :many
-- A worker of them: the next page finds its run gone, and is not committed.
DELETE FROM sync_runs WHERE customer_id = $1 RETURNING job_id, processed, failures;

-- name: SyncRunComeAgain :execrows
-- A run that waits for a slot stays parked for the same reason, since the same time: it was not tried.
UPDATE sync_runs SET state = 'parked', due_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state IN ('queued', 'parked');

-- name: SyncRunWaitsBeside :one
-- Whether a run waits for a worker that no destination's silence has parked.
SELECT EXISTS (
    SELECT FROM sync_runs r
    WHERE r.kind = sqlc.arg(kind) AND r.state = 'queued' AND r.due_at <= rollcall_now()
      AND r.park_reason IS DISTINCT FROM sqlc.arg(park_reason)
      AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now() OFFSET 0)
      AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = r.customer_id
                      AND (NOT c.enabled OR c.paused_at IS NOT NULL OR c.offboarded_at IS NOT NULL) OFFSET 0)
    ORDER BY r.due_at LIMIT 1)::boolean;

-- name: SyncRunsWakeDueParked :many
UPDATE sync_runs SET state = 'queued', updated_at = rollcall_now()
WHERE id IN (
    SELECT p.id FROM sync_runs p JOIN sync_configs c ON c.customer_id = p.customer_id
    WHERE p.kind = sqlc.arg(kind) AND p.state = 'parked' AND p.due_at <= rollcall_now()
      AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
    ORDER BY p.due_at LIMIT 100 FOR UPDATE OF p SKIP LOCKED)
RETURNING id, customer_id;

-- name: SyncRunsUnattended :many
-- What a lost message, stream or worker leaves behind. One that was touched within a minute has a message under way.
SELECT r.id, r.customer_id FROM sync_runs r
JOIN sync_configs c ON c.customer_id = r.customer_id AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
LEFT JOIN customer_leases l ON l.customer_id = r.customer_id AND l.expires_at > rollcall_now()
WHERE r.kind = sqlc.arg(kind) AND r.state IN ('queued', 'running') AND r.due_at <= rollcall_now() AND l.customer_id IS NULL
  AND r.id > sqlc.arg(after) AND r.updated_at <= rollcall_now() - interval '1 minute'
ORDER BY r.id LIMIT sqlc.arg(page_size);

-- name: SyncRunsUnpark :many
-- What waited for a token, a resumption or a destination is due at once.
UPDATE sync_runs SET state = 'queued', due_at = rollcall_now(), parks = 0, refusals = 0, updated_at = rollcall_now()
WHERE customer_id = $1 AND state = 'parked'
RETURNING id, kind;

-- name: SyncConfigMarkPolled :exec
UPDATE sync_configs
SET last_polled_at = rollcall_now(), caught_up_at = greatest(caught_up_at, sqlc.arg(caught_up_at)), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigMarkPollPage :exec
UPDATE sync_configs SET poll_page_at = rollcall_now() WHERE customer_id = $1;

-- name: SyncConfigsLockReconcileDue :many
-- As SyncRunsStartDuePolls: up to as many of either kind.
WITH untimed AS (
    SELECT c.customer_id, c.quiet_hours, c.next_reconcile_at FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_reconcile_at IS NULL
    LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
), timed AS (
    SELECT c.customer_id, c.quiet_hours, c.next_reconcile_at FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_reconcile_at <= rollcall_now()
    ORDER BY c.next_reconcile_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
)
SELECT customer_id, quiet_hours, next_reconcile_at FROM untimed UNION ALL SELECT customer_id, quiet_hours, next_reconcile_at FROM timed;

-- name: SyncConfigReconciled :one
-- The last day that was reconciled, or that before the backfill.
SELECT coalesce(
    (SELECT max(r.date) FROM reconciliation_runs r WHERE r.customer_id = c.customer_id AND r.type = 'user_daily'),
    (backfill_completed_at AT TIME ZONE 'UTC')::date - 1)::date AS reconciled
FROM sync_configs c WHERE c.customer_id = sqlc.arg(customer_id);

-- name: SyncConfigSetNextReconcile :exec
UPDATE sync_configs SET next_reconcile_at = sqlc.arg(next_reconcile_at) WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigDisable :execrows
UPDATE sync_configs SET enabled = false, disabled_reason = sqlc.arg(reason)::text, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND enabled;

-- name: SyncConfigPause :execrows
UPDATE sync_configs SET paused_at = rollcall_now(), updated_at = rollcall_now() WHERE customer_id = $1 AND paused_at IS NULL;

-- name: SyncConfigResume :execrows
UPDATE sync_configs SET paused_at = NULL, active_since = rollcall_now(), next_poll_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = $1 AND paused_at IS NOT NULL;

-- name: ReconciliationInsert :exec
INSERT INTO reconciliation_runs (customer_id, type, date, job_id, trace_id, expected_count, gap_count, failure_count, verified,
                                 started_at, completed_at)
SELECT sqlc.arg(customer_id), sqlc.arg(type), sqlc.arg(date), sqlc.arg(job_id), sqlc.arg(trace_id), sqlc.arg(expected_count),
       (SELECT count(*) FROM reconciliation_gaps g WHERE g.job_id = sqlc.arg(job_id)), sqlc.arg(failure_count),
       sqlc.narg(verified), sqlc.arg(started_at), rollcall_now();

-- name: ReconciliationGapsInsert :exec
INSERT INTO reconciliation_gaps (job_id, customer_id, vomo_user_id, reason, source_updated_at, noted_at)
SELECT sqlc.arg(job_id), sqlc.arg(customer_id), v.id, v.reason, v.updated_at, rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(reasons)::text[]) AS reason,
             unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at) v
ON CONFLICT (job_id, vomo_user_id) DO NOTHING;

-- name: ReconciliationLateGaps :one
-- Of the last week's reconciliations the gaps whose time lay far behind the moment at which they were read, and for this one how far
-- the newest of them did.
SELECT count(*) AS recent, count(*) FILTER (WHERE g.job_id = sqlc.arg(job_id)) AS now,
       coalesce(ceil(extract(epoch FROM min(g.noted_at - g.source_updated_at) FILTER (WHERE g.job_id = sqlc.arg(job_id))) / 60), 0)::integer AS minutes
FROM (SELECT r.job_id FROM reconciliation_runs r
      WHERE r.customer_id = sqlc.arg(customer_id) AND r.type = sqlc.arg(type) AND r.date > (rollcall_now() AT TIME ZONE 'UTC')::date - 8
      ORDER BY r.date DESC LIMIT 20) runs
JOIN reconciliation_gaps g ON g.job_id = runs.job_id
WHERE g.noted_at - g.source_updated_at > sqlc.arg(later_than)::interval;

-- name: SyncConfigRaiseStampLag :exec
UPDATE sync_configs SET stamp_lag_minutes = greatest(stamp_lag_minutes, sqlc.arg(minutes)::integer), stamp_lag_seen_at = rollcall_now(),
    stamp_lag_since = coalesce(stamp_lag_since, rollcall_now())
WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigMeasureStampLag :exec
UPDATE sync_configs SET stamp_lag_minutes = sqlc.arg(minutes)::integer, stamp_lag_seen_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND stamp_lag_minutes IS NOT NULL;

-- name: SyncConfigEndStampLag :exec
UPDATE sync_configs SET stamp_lag_minutes = NULL, stamp_lag_since = NULL, stamp_lag_seen_at = NULL
WHERE customer_id = sqlc.arg(customer_id) AND stamp_lag_seen_at < rollcall_now() - sqlc.arg(after)::interval;

-- name: ReconciliationGapCount :one
SELECT count(*) FROM reconciliation_gaps WHERE job_id = $1;

-- name: ReconciliationsRecent :many
SELECT type, date, expected_count, gap_count, failure_count, verified, started_at, completed_at FROM reconciliation_runs
WHERE customer_id = sqlc.arg(customer_id) AND type = sqlc.arg(type) AND completed_at > rollcall_now() - sqlc.arg(within)::interval
ORDER BY completed_at DESC LIMIT sqlc.arg(at_most);

-- name: JobLatest :one
SELECT id, outcome, trace_id, processed_count, failure_count, error_code, started_at, completed_at FROM job_log
WHERE customer_id = $1 AND job = $2 AND completed_at IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1;
