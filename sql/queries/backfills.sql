-- name: RunStartBackfill :one
-- Into the table of the version before, where a backfill service of either version finds it; one of this version moves it.
INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(job_id), sqlc.arg(trace_id), 'queued', rollcall_now(), rollcall_now(), rollcall_now())
ON CONFLICT (customer_id) WHERE state IN ('queued', 'running', 'parked', 'paused') DO NOTHING
RETURNING id;

-- name: RunSetRewrite :exec
UPDATE backfill_runs SET rewrite_before = sqlc.arg(rewrite_before), new_system = sqlc.arg(new_system) WHERE id = sqlc.arg(id);

-- name: BackfillGet :one
SELECT * FROM all_runs WHERE id = sqlc.arg(id) AND kind = 'backfill';

-- name: BackfillLatest :one
SELECT * FROM all_runs WHERE customer_id = sqlc.arg(customer_id) AND kind = 'backfill' ORDER BY id DESC LIMIT 1;

-- name: BackfillsLatestFor :many
SELECT DISTINCT ON (customer_id) * FROM all_runs
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND kind = 'backfill' ORDER BY customer_id, id DESC;

-- name: BackfillsPage :many
-- The newest of each table are looked up by their ids, and then read together.
SELECT r.* FROM all_runs r
WHERE r.kind = 'backfill' AND r.id = ANY(ARRAY(
    (SELECT n.id FROM runs n WHERE n.kind = 'backfill' AND n.id < sqlc.arg(before) ORDER BY n.id DESC LIMIT sqlc.arg(page_size))
    UNION ALL
    (SELECT o.id FROM backfill_runs o WHERE o.id < sqlc.arg(before) ORDER BY o.id DESC LIMIT sqlc.arg(page_size))))
ORDER BY r.id DESC LIMIT sqlc.arg(page_size);

-- name: RewriteOwed :one
-- The last rewrite, if it was not completed: what was synced before it may not be in the destination.
SELECT r.rewrite_before::timestamptz AS owed, r.new_system FROM (
    SELECT l.rewrite_before, l.new_system, l.state FROM all_runs l
    WHERE l.customer_id = sqlc.arg(customer_id) AND l.rewrite_before IS NOT NULL AND l.kind = 'backfill' ORDER BY l.id DESC LIMIT 1) r
WHERE r.state <> 'completed';

-- name: NewSystemSince :one
-- Since when the customer's destination is the system that it is now: ids that were given before are another system's.
SELECT coalesce(max(r.rewrite_before), 'epoch')::timestamptz FROM all_runs r
WHERE r.customer_id = sqlc.arg(customer_id) AND r.kind = 'backfill' AND r.rewrite_before IS NOT NULL AND r.new_system;

-- name: RewritesOwedFor :many
-- Those of these customers whose last rewrite was not completed.
SELECT r.customer_id FROM (
    SELECT DISTINCT ON (l.customer_id) l.customer_id, l.state FROM all_runs l
    WHERE l.customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND l.rewrite_before IS NOT NULL AND l.kind = 'backfill'
    ORDER BY l.customer_id, l.id DESC) r
WHERE r.state <> 'completed';

-- name: BackfillPutOffIfWaiting :execrows
-- As RunPutOffIfWaiting, for a backfill that was not moved.
UPDATE backfill_runs
SET state = 'parked', park_reason = sqlc.arg(park_reason), park_detail = NULL, due_at = sqlc.arg(due_at),
    park_since = CASE WHEN state = 'parked' AND park_reason = sqlc.arg(park_reason) THEN coalesce(park_since, rollcall_now()) ELSE rollcall_now() END,
    updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND state IN ('queued', 'parked');

-- name: BackfillEnd :many
-- A backfill that ended goes to the table of the version before, whose services show it and look there for a rewrite that
-- was not completed. epoch null: whichever worker has it.
WITH ended AS (
    DELETE FROM runs r
    WHERE r.customer_id = sqlc.arg(customer_id) AND r.kind = 'backfill'
      AND (CASE WHEN sqlc.narg(epoch)::bigint IS NULL THEN r.state IN ('queued', 'running', 'parked', 'paused')
                ELSE r.state = 'running' AND r.epoch = sqlc.narg(epoch)::bigint END)
      AND r.state IN ('queued', 'running', 'parked', 'paused')
    RETURNING *
)
INSERT INTO backfill_runs (id, customer_id, job_id, trace_id, state, rewrite_before, new_system, phase, next_page, last_total, furthest_page,
    steps_back, reread_pages, unsettled, pass, scan_started_at, highest_seen, pages, processed, written, skipped, failures, recovered, verified,
    attempts, parks, park_reason, park_detail, park_since, refusals, failure, due_at, active_seconds, epoch, created_at, started_at,
    updated_at, completed_at)
OVERRIDING SYSTEM VALUE
SELECT id, customer_id, job_id, trace_id, sqlc.arg(state)::text, rewrite_before, new_system, coalesce(cursor->>'phase', 'pages'),
       coalesce((cursor->>'nextPage')::integer, 1), (cursor->>'lastTotal')::bigint, coalesce((cursor->>'furthestPage')::integer, 0),
       coalesce((cursor->>'stepsBack')::integer, 0), coalesce((cursor->>'rereadPages')::integer, 0),
       coalesce((cursor->>'unsettled')::integer, 0), coalesce((cursor->>'pass')::integer, 0),
       scan_started_at, highest_seen, pages, processed, written, skipped, failures, recovered, sqlc.narg(verified)::boolean,
       attempts, parks, park_reason, park_detail, park_since, refusals, sqlc.narg(failure)::text, due_at, active_seconds, epoch, created_at, started_at,
       rollcall_now(), rollcall_now()
FROM ended
RETURNING id, job_id, processed, failures;

-- name: BackfillPauseIfOpen :one
-- The next page of a worker finds its run no longer running, and is not committed.
UPDATE runs SET state = 'paused', parks = 0, attempts = 0, updated_at = rollcall_now()
WHERE customer_id = $1 AND kind = 'backfill' AND state IN ('queued', 'running', 'parked')
RETURNING *;

-- name: BackfillResumeIfPaused :one
UPDATE runs SET state = 'queued', due_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = $1 AND kind = 'backfill' AND state = 'paused'
RETURNING *;
