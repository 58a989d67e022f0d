-- name: GiftDeletionRunStart :one
-- What it counts is counted page by page.
INSERT INTO deletion_runs (customer_id, entity, job_id, trace_id, state, mapped, started_at)
VALUES (sqlc.arg(customer_id), 'gift', sqlc.arg(job_id), sqlc.arg(trace_id), 'scanning', 0, rollcall_now())
RETURNING *;

-- name: GiftDeletionRunCount :exec
UPDATE deletion_runs
SET mapped = mapped + sqlc.arg(known), scanned = scanned + sqlc.arg(listed), missing = missing + sqlc.arg(missing),
    confirmed = confirmed + sqlc.arg(deleted), deleted = deleted + sqlc.arg(deleted)
WHERE id = sqlc.arg(id);

-- name: PartnerGiftsBetween :many
-- The customer's gifts behind an id, and up to another one, that are not deleted. One that was added or seen since a time is not missing.
SELECT g.virtuous_gift_id, (g.created_at < sqlc.arg(before)::timestamptz AND g.last_sync_at < sqlc.arg(before)::timestamptz)::boolean AS is_older
FROM partner_gifts g
WHERE g.customer_id = sqlc.arg(customer_id) AND g.virtuous_gift_id > sqlc.arg(after)::bigint AND g.virtuous_gift_id <= sqlc.arg(up_to)::bigint
  AND g.state <> 'deleted'
ORDER BY g.virtuous_gift_id LIMIT sqlc.arg(page_size);

-- name: DeletionGiftsInsert :exec
INSERT INTO deletion_gifts (run_id, virtuous_gift_id, customer_id, state, noted_at)
SELECT sqlc.arg(run_id), v.id, sqlc.arg(customer_id), 'missing', rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id) v
ON CONFLICT DO NOTHING;

-- name: DeletionGiftsToAsk :many
-- Missing gifts behind that one, and whether there is nothing to ask: a gift is deleted by now, or was seen since it was noted.
SELECT c.virtuous_gift_id, coalesce(g.platform_donation_id, '')::text AS platform_donation_id,
       (g.virtuous_gift_id IS NULL OR g.state = 'deleted')::boolean AS is_gone, coalesce(g.last_sync_at > c.noted_at, false)::boolean AS is_seen
FROM (SELECT d.virtuous_gift_id, d.customer_id, d.noted_at FROM deletion_gifts d
      WHERE d.run_id = sqlc.arg(run_id) AND d.state = 'missing' AND d.virtuous_gift_id > sqlc.arg(after)
      ORDER BY d.virtuous_gift_id LIMIT sqlc.arg(page_size)) c
LEFT JOIN LATERAL (SELECT p.virtuous_gift_id, p.platform_donation_id, p.state, p.last_sync_at FROM partner_gifts p
                   WHERE p.customer_id = c.customer_id AND p.virtuous_gift_id = c.virtuous_gift_id LIMIT 1) g ON true
ORDER BY c.virtuous_gift_id;

-- name: DeletionGiftAnswered :exec
UPDATE deletion_gifts
SET state = sqlc.arg(state)::text, code = nullif(sqlc.arg(code)::text, ''),
    asked_at = CASE WHEN sqlc.arg(asked)::boolean THEN rollcall_now() ELSE asked_at END,
    deleted_at = CASE WHEN sqlc.arg(deleted)::boolean THEN rollcall_now() ELSE deleted_at END
WHERE run_id = sqlc.arg(run_id) AND virtuous_gift_id = sqlc.arg(virtuous_gift_id);

-- name: DeletionGiftsLeave :execrows
UPDATE deletion_gifts SET state = 'unknown' WHERE run_id = $1 AND state = 'missing';

-- name: DeletionGiftsPage :many
-- As DeletionCandidatesPage.
SELECT virtuous_gift_id, state, code, noted_at, asked_at, deleted_at FROM deletion_gifts
WHERE run_id = sqlc.arg(run_id) AND virtuous_gift_id > sqlc.arg(after)
  AND (sqlc.narg(state)::text IS NULL OR state = sqlc.narg(state)::text)
ORDER BY virtuous_gift_id LIMIT sqlc.arg(page_size);

-- name: DeletionGiftsUndoRun :execrows
UPDATE deletion_gifts SET state = 'undo', code = NULL
WHERE run_id = sqlc.arg(run_id) AND customer_id = sqlc.arg(customer_id) AND state = 'deleted'
  AND deleted_at > rollcall_now() - sqlc.arg(within)::interval;

-- name: DeletionGiftsUndo :many
-- The newest deletions of these gifts.
UPDATE deletion_gifts c SET state = 'undo', code = NULL
FROM (SELECT DISTINCT ON (d.virtuous_gift_id) d.run_id, d.virtuous_gift_id FROM deletion_gifts d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.virtuous_gift_id = ANY(sqlc.arg(ids)::bigint[]) AND d.state = 'deleted'
        AND d.deleted_at > rollcall_now() - sqlc.arg(within)::interval
      ORDER BY d.virtuous_gift_id, d.run_id DESC) v
WHERE c.run_id = v.run_id AND c.virtuous_gift_id = v.virtuous_gift_id AND c.state = 'deleted'
RETURNING c.run_id, c.virtuous_gift_id;

-- name: DeletionGiftsToUndo :many
SELECT c.run_id, c.virtuous_gift_id FROM deletion_gifts c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.state = 'undo' ORDER BY c.run_id, c.virtuous_gift_id LIMIT sqlc.arg(page_size);

-- name: DeletionGiftsForget :execrows
-- As DeletionCandidatesForget.
DELETE FROM deletion_gifts d WHERE d.ctid = ANY(ARRAY(
    SELECT c.ctid FROM deletion_gifts c
    WHERE c.noted_at < rollcall_now() - sqlc.arg(older_than)::interval
      AND (c.deleted_at IS NULL OR c.deleted_at < rollcall_now() - sqlc.arg(older_than)::interval)
      AND NOT EXISTS (SELECT FROM deletion_runs r WHERE r.id = c.run_id
                      AND (r.state IN ('held', 'approved') OR r.decided_at >= rollcall_now() - sqlc.arg(older_than)::interval) OFFSET 0)
    ORDER BY c.noted_at LIMIT sqlc.arg(at_most)));

-- name: DeletionGiftsCancel :exec
-- Ends the customer's search for deleted gifts, and what was to be undone: their ids are those of an organization that is not the customer's any more.
WITH undone AS (UPDATE deletion_gifts g SET state = 'deleted', code = 'other_organization' WHERE g.customer_id = $1 AND g.state = 'undo')
UPDATE deletion_runs r SET state = 'failed', ended_at = rollcall_now()
WHERE r.customer_id = $1 AND r.entity = 'gift' AND r.state IN ('scanning', 'asking', 'held', 'approved', 'deleting');
