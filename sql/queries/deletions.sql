-- name: DeletionRunStart :one
-- The customer's users are counted in the statement: as many as there are when the run begins.
INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, mapped, started_at)
SELECT sqlc.arg(customer_id), sqlc.arg(entity), sqlc.arg(job_id), sqlc.arg(trace_id), 'scanning',
       (SELECT count(*) FROM user_mappings m WHERE m.customer_id = sqlc.arg(customer_id)), rollcall_now()
RETURNING *;

-- name: DeletionRunOpen :one
SELECT * FROM deletion_runs
WHERE customer_id = $1 AND entity = $2 AND state IN ('scanning', 'asking', 'held', 'approved', 'deleting');

-- name: DeletionRunLockOpen :one
SELECT * FROM deletion_runs
WHERE customer_id = $1 AND entity = $2 AND state IN ('scanning', 'asking', 'held', 'approved', 'deleting') FOR UPDATE;

-- name: DeletionRunGet :one
SELECT * FROM deletion_runs WHERE id = $1;

-- name: DeletionRunsPage :many
SELECT * FROM deletion_runs
WHERE id < sqlc.arg(before) AND (sqlc.narg(entity)::text IS NULL OR entity = sqlc.narg(entity)::text)
ORDER BY id DESC LIMIT sqlc.arg(page_size);

-- name: DeletionRunsOf :many
SELECT * FROM deletion_runs
WHERE customer_id = sqlc.arg(customer_id) AND id < sqlc.arg(before) AND (sqlc.narg(entity)::text IS NULL OR entity = sqlc.narg(entity)::text)
ORDER BY id DESC LIMIT sqlc.arg(page_size);

-- name: DeletionRunSetState :exec
UPDATE deletion_runs
SET state = sqlc.arg(state)::text, held_for = coalesce(sqlc.narg(held_for)::text, held_for), scanned = coalesce(sqlc.narg(scanned)::bigint, scanned),
    confirmed = coalesce(sqlc.narg(confirmed)::bigint, confirmed),
    held_at = CASE WHEN sqlc.arg(state)::text = 'held' THEN rollcall_now() ELSE held_at END,
    ended_at = CASE WHEN sqlc.arg(state)::text IN ('done', 'unverified', 'failed') THEN rollcall_now() END
WHERE id = sqlc.arg(id);

-- name: DeletionRunDecide :exec
-- An operator's decision about a held run; an approved one goes on as another job.
UPDATE deletion_runs
SET state = sqlc.arg(state)::text, decided_at = rollcall_now(), job_id = coalesce(sqlc.narg(job_id)::bigint, job_id),
    ended_at = CASE WHEN sqlc.arg(state)::text = 'rejected' THEN rollcall_now() END
WHERE id = sqlc.arg(id) AND state = 'held';

-- name: DeletionRunCountMissing :exec
UPDATE deletion_runs SET missing = missing + sqlc.arg(missing) WHERE id = sqlc.arg(id);

-- name: DeletionRunCountDeleted :exec
UPDATE deletion_runs SET deleted = deleted + sqlc.arg(deleted), failed = failed + sqlc.arg(failed) WHERE id = sqlc.arg(id);

-- name: DeletionRunsCancel :exec
UPDATE deletion_runs SET state = 'failed', ended_at = rollcall_now()
WHERE customer_id = $1 AND state IN ('scanning', 'asking', 'held', 'approved', 'deleting');

-- name: DeletionRunsExpire :many
-- Runs that no operator decided about in time.
UPDATE deletion_runs SET state = 'expired', ended_at = rollcall_now()
WHERE id = ANY(ARRAY(
    SELECT r.id FROM deletion_runs r WHERE r.state = 'held' AND r.held_at < rollcall_now() - sqlc.arg(after)::interval
    ORDER BY r.held_at LIMIT 100 FOR UPDATE SKIP LOCKED))
RETURNING id, customer_id, entity;

-- name: DeletionRunsForget :execrows
-- Also those whose run was cancelled: they have no end.
DELETE FROM deletion_runs d WHERE d.id = ANY(ARRAY(
    SELECT r.id FROM deletion_runs r
    WHERE r.started_at < rollcall_now() - sqlc.arg(older_than)::interval AND r.state <> 'held'
      AND NOT EXISTS (SELECT FROM deletion_candidates c WHERE c.run_id = r.id OFFSET 0)
      AND NOT EXISTS (SELECT FROM deletion_gifts g WHERE g.run_id = r.id OFFSET 0)
    ORDER BY r.started_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: DeletionCandidatesForget :execrows
-- Those of a run that waits for an operator stay. Those that an operator approved, and those that were deleted, are as old as that.
DELETE FROM deletion_candidates d WHERE d.ctid = ANY(ARRAY(
    SELECT c.ctid FROM deletion_candidates c
    WHERE c.noted_at < rollcall_now() - sqlc.arg(older_than)::interval
      AND (c.deleted_at IS NULL OR c.deleted_at < rollcall_now() - sqlc.arg(older_than)::interval)
      AND NOT EXISTS (SELECT FROM deletion_runs r WHERE r.id = c.run_id
                      AND (r.state = 'held' OR r.decided_at >= rollcall_now() - sqlc.arg(older_than)::interval) OFFSET 0)
    ORDER BY c.noted_at LIMIT sqlc.arg(at_most)));

-- name: MappingsMissing :many
-- A page of the customer's users behind that one, and whether the scan saw each. A user that was written since the run began is
-- there, whatever the scan saw, and one with an open letter about its deletion is that letter's.
SELECT m.vomo_user_id, m.external_user_id, coalesce(m.last_known_email, '')::text AS email, m.last_synced_updated_at,
       (m.last_synced_at < sqlc.arg(before)
        AND NOT EXISTS (SELECT FROM scan_seen s WHERE s.scan_id = sqlc.arg(scan_id) AND s.vomo_user_id = m.vomo_user_id OFFSET 0)
        AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.customer_id = m.customer_id AND d.kind = 'user_delete' AND d.state <> 'settled'
                        AND d.record_id = m.vomo_user_id OFFSET 0))::boolean AS missing
FROM user_mappings m
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id > sqlc.arg(after)
ORDER BY m.vomo_user_id LIMIT sqlc.arg(page_size);

-- name: DeletionCandidatesInsert :exec
INSERT INTO deletion_candidates (run_id, record_id, customer_id, state, source_updated_at, sealed, noted_at)
SELECT sqlc.arg(run_id), v.id, sqlc.arg(customer_id), 'missing', v.updated_at, v.sealed, rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at,
             unnest(sqlc.arg(sealeds)::bytea[]) AS sealed) v
ON CONFLICT DO NOTHING;

-- name: DeletionCandidatesToAsk :many
-- Candidates behind that one, and whether the mirror has written or lost the user since it was noted: then there is nothing to ask.
SELECT c.record_id, c.noted_at, (m.vomo_user_id IS NULL OR m.last_synced_at > c.noted_at)::boolean AS settled
FROM (SELECT d.record_id, d.noted_at, d.customer_id FROM deletion_candidates d
      WHERE d.run_id = sqlc.arg(run_id) AND d.record_id > sqlc.arg(after) AND d.state IN ('missing', 'confirmed', 'unknown')
      ORDER BY d.record_id LIMIT sqlc.arg(page_size)) c
LEFT JOIN LATERAL (SELECT u.vomo_user_id, u.last_synced_at FROM user_mappings u
                   WHERE u.customer_id = c.customer_id AND u.vomo_user_id = c.record_id LIMIT 1) m ON true
ORDER BY c.record_id;

-- name: DeletionCandidatesToDelete :many
SELECT d.record_id, coalesce(d.asked_at, d.noted_at)::timestamptz AS asked_at FROM deletion_candidates d
WHERE d.run_id = sqlc.arg(run_id) AND d.state = 'confirmed' ORDER BY d.record_id LIMIT sqlc.arg(page_size);

-- name: MappingsToDelete :many
-- What the destination has of these users, one by one through the key. A record that another user has, too, is shared, unless that
-- user is deleted by the same run.
SELECT m.vomo_user_id, m.external_user_id, m.last_synced_at, m.last_synced_updated_at, m.version_hash,
       EXISTS (SELECT FROM user_mappings o
               WHERE o.customer_id = m.customer_id AND o.external_user_id = m.external_user_id AND o.vomo_user_id <> m.vomo_user_id
                 AND NOT EXISTS (SELECT FROM deletion_candidates c WHERE c.run_id = sqlc.arg(run_id) AND c.record_id = o.vomo_user_id
                                 AND c.state IN ('confirmed', 'deleted') OFFSET 0) OFFSET 0)::boolean AS shared
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT u.customer_id, u.vomo_user_id, u.external_user_id, u.last_synced_at, u.last_synced_updated_at, u.version_hash
    FROM user_mappings u WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id LIMIT 1) m;

-- name: MappingsForgetVersion :exec
-- The record of these ids may have the data of a deleted user: it is written again as soon as a scan sees the user that is left.
UPDATE user_mappings SET version_hash = '\x00' WHERE customer_id = sqlc.arg(customer_id) AND external_user_id = ANY(sqlc.arg(external_ids)::text[]);

-- name: DeletionCandidatesAnswered :exec
UPDATE deletion_candidates c SET state = v.state, code = nullif(v.code, ''), asked_at = rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(states)::text[]) AS state, unnest(sqlc.arg(codes)::text[]) AS code) v
WHERE c.run_id = sqlc.arg(run_id) AND c.record_id = v.id;

-- name: DeletionCandidatesEnd :exec
-- What came of the deletions of a page.
UPDATE deletion_candidates c
SET state = v.state, code = nullif(v.code, ''), deleted_at = CASE WHEN v.state = 'deleted' THEN rollcall_now() ELSE c.deleted_at END
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(states)::text[]) AS state, unnest(sqlc.arg(codes)::text[]) AS code) v
WHERE c.run_id = sqlc.arg(run_id) AND c.record_id = v.id;

-- name: DeletionCandidatesFinish :many
-- A letter finished the deletion of these users: their newest failed candidates.
UPDATE deletion_candidates c SET state = 'deleted', code = NULL, deleted_at = rollcall_now()
FROM (SELECT DISTINCT ON (d.record_id) d.run_id, d.record_id FROM deletion_candidates d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.record_id = ANY(sqlc.arg(ids)::text[]) AND d.state = 'failed'
      ORDER BY d.record_id, d.run_id DESC) v
WHERE c.run_id = v.run_id AND c.record_id = v.record_id
RETURNING c.run_id;

-- name: DeletionCandidatesCount :many
SELECT state, count(*) FROM deletion_candidates WHERE run_id = $1 GROUP BY state;

-- name: DeletionCandidatesPage :many
-- Candidates of a run behind that one; of all states, or of one.
SELECT record_id, state, code, source_updated_at, sealed, noted_at, asked_at, deleted_at FROM deletion_candidates
WHERE run_id = sqlc.arg(run_id) AND record_id > sqlc.arg(after)
  AND (sqlc.narg(state)::text IS NULL OR state = sqlc.narg(state)::text)
ORDER BY record_id LIMIT sqlc.arg(page_size);

-- name: DeletionCandidatesUndoRun :execrows
-- The deleted users of a run are to be read again.
UPDATE deletion_candidates SET state = 'undo', code = NULL
WHERE run_id = sqlc.arg(run_id) AND customer_id = sqlc.arg(customer_id) AND state = 'deleted'
  AND deleted_at > rollcall_now() - sqlc.arg(within)::interval;

-- name: DeletionCandidatesUndoUsers :many
-- The newest deletions of these users; of a user that was deleted twice the last one counts.
UPDATE deletion_candidates c SET state = 'undo', code = NULL
FROM (SELECT DISTINCT ON (d.record_id) d.run_id, d.record_id FROM deletion_candidates d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.record_id = ANY(sqlc.arg(ids)::text[]) AND d.state = 'deleted'
        AND d.deleted_at > rollcall_now() - sqlc.arg(within)::interval
      ORDER BY d.record_id, d.run_id DESC) v
WHERE c.run_id = v.run_id AND c.record_id = v.record_id AND c.state = 'deleted'
RETURNING c.run_id, c.record_id;

-- name: DeletionCandidatesToUndo :many
SELECT c.run_id, c.record_id, c.source_updated_at, c.sealed FROM deletion_candidates c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.state = 'undo' ORDER BY c.record_id LIMIT sqlc.arg(page_size);

-- name: DeletionCandidatesUndone :exec
UPDATE deletion_candidates c SET state = v.state, code = nullif(v.code, '')
FROM (SELECT unnest(sqlc.arg(run_ids)::bigint[]) AS run_id, unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(states)::text[]) AS state,
             unnest(sqlc.arg(codes)::text[]) AS code) v
WHERE c.run_id = v.run_id AND c.record_id = v.id AND c.state = 'undo';

-- name: MappingsNotCandidates :one
-- Some of the customer's next thousand users behind that one that are no candidates of the run, and the last of the thousand, which
-- is empty if there is none.
WITH next AS (
    SELECT u.vomo_user_id FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id > sqlc.arg(after) ORDER BY u.vomo_user_id LIMIT 1000
)
SELECT coalesce((SELECT max(n.vomo_user_id) FROM next n), '')::text AS last, ARRAY(
    SELECT m.vomo_user_id FROM next m
    WHERE NOT EXISTS (SELECT FROM deletion_candidates c WHERE c.run_id = sqlc.arg(run_id) AND c.record_id = m.vomo_user_id OFFSET 0)
    ORDER BY m.vomo_user_id LIMIT sqlc.arg(at_most))::text[] AS beside;

-- name: MappingsDelete :exec
DELETE FROM user_mappings WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id = ANY(sqlc.arg(ids)::text[]);

-- name: MappingsKeepExternal :exec
-- The destination gave no id for a user that is there again: the one that it gave before stays.
UPDATE user_mappings m SET external_user_id = v.external_id
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(external_ids)::text[]) AS external_id) v
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = v.id AND m.external_user_id = 'vomo-' || m.vomo_user_id;

-- name: SyncConfigLastScan :one
-- How many users the last scan that counted read: of a deletion scan, or of the backfill.
SELECT coalesce(last_scan_users, backfill_processed_count, 0)::bigint FROM sync_configs WHERE customer_id = $1;

-- name: SyncConfigSetLastScan :exec
UPDATE sync_configs SET last_scan_users = sqlc.arg(users)::bigint WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigsLockDeletionScanDue :many
-- As SyncConfigsLockReconcileDue. A customer with a held run gets no other scan until that is decided.
WITH untimed AS (
    SELECT c.customer_id, c.quiet_hours, c.next_deletion_scan_at FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_deletion_scan_at IS NULL
    ORDER BY c.next_deletion_scan_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
), timed AS (
    SELECT c.customer_id, c.quiet_hours, c.next_deletion_scan_at FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_deletion_scan_at <= rollcall_now()
    ORDER BY c.next_deletion_scan_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
)
SELECT d.customer_id, d.quiet_hours, d.next_deletion_scan_at,
       EXISTS (SELECT FROM deletion_runs r WHERE r.customer_id = d.customer_id AND r.entity = 'user' AND r.state = 'held' OFFSET 0)::boolean AS held
FROM (SELECT * FROM untimed UNION ALL SELECT * FROM timed) d;

-- name: SyncConfigSetNextDeletionScan :exec
UPDATE sync_configs SET next_deletion_scan_at = sqlc.arg(next_deletion_scan_at) WHERE customer_id = sqlc.arg(customer_id);
