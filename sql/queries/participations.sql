-- name: ParticipationsFor :many
-- One by one, as MappingVersions.
SELECT p.vomo_user_id, p.digest, p.summary_digest, p.sent_digest, p.sealed
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id, u.digest, u.summary_digest, u.sent_digest, u.sealed
    FROM participations u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id LIMIT 1) p;

-- name: ParticipationsUpsert :exec
INSERT INTO participations (customer_id, vomo_user_id, digest, summary_digest, sent_digest, sealed, refreshed_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(vomo_user_id), sqlc.arg(digest), sqlc.arg(summary_digest), sqlc.narg(sent_digest), sqlc.arg(sealed),
        rollcall_now())
ON CONFLICT (customer_id, vomo_user_id) DO UPDATE
SET digest = excluded.digest, summary_digest = excluded.summary_digest,
    sent_digest = coalesce(excluded.sent_digest, participations.sent_digest), sealed = excluded.sealed, refreshed_at = excluded.refreshed_at;

-- name: ParticipationsTouch :exec
UPDATE participations SET refreshed_at = rollcall_now() WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id = sqlc.arg(vomo_user_id);

-- name: ParticipationsSent :exec
UPDATE participations p SET sent_digest = v.digest
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(digests)::bytea[]) AS digest) v
WHERE p.customer_id = sqlc.arg(customer_id) AND p.vomo_user_id = v.id AND p.sent_digest IS DISTINCT FROM v.digest;

-- name: ParticipationsForgetUnmapped :exec
-- Those of users in a range of ids that the destination no longer has.
DELETE FROM participations p
WHERE p.customer_id = sqlc.arg(customer_id) AND p.vomo_user_id > sqlc.arg(after)
  AND (sqlc.narg(up_to)::text IS NULL OR p.vomo_user_id <= sqlc.narg(up_to)::text)
  AND NOT EXISTS (SELECT FROM user_mappings m WHERE m.customer_id = p.customer_id AND m.vomo_user_id = p.vomo_user_id OFFSET 0);

-- name: ParticipationsDelete :execrows
-- A batch of a customer's rows.
DELETE FROM participations p
WHERE p.customer_id = sqlc.arg(customer_id) AND p.vomo_user_id = ANY(ARRAY(
    SELECT u.vomo_user_id FROM participations u WHERE u.customer_id = sqlc.arg(customer_id) ORDER BY u.vomo_user_id LIMIT sqlc.arg(at_most)));

-- name: SyncConfigForgetParticipations :exec
-- The next cycle is the customer's first. Without a row that is left, there is nothing to forget any more.
UPDATE sync_configs
SET participations_cycle_seconds = NULL,
    next_participations_at = CASE WHEN sqlc.arg(is_last)::boolean THEN '1970-01-01T00:00:00Z' ELSE next_participations_at END
WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigTakeParticipationsOff :one
-- A customer whose participations are no longer read, and of which there may still be rows: a cycle was due once.
SELECT c.customer_id FROM sync_configs c
WHERE NOT c.participations AND c.next_participations_at > '1970-01-01T00:00:00Z'
ORDER BY c.customer_id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: SyncConfigStopParticipations :exec
-- A cycle that was under way may have saved rows after the others were deleted.
UPDATE sync_configs SET next_participations_at = rollcall_now() WHERE customer_id = $1 AND NOT participations;

-- name: MappingsAfter :many
-- The customer's users behind that one, in the order of their ids.
SELECT vomo_user_id, last_synced_updated_at FROM user_mappings
WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id > sqlc.arg(after)
ORDER BY vomo_user_id LIMIT sqlc.arg(page_size);

-- name: SyncConfigsTakeParticipationsDue :many
-- Customers whose next cycle is due, each for one process. One whose cycle is under way is looked at again an hour later; the end
-- of that cycle says when the next one is due.
UPDATE sync_configs SET next_participations_at = rollcall_now() + sqlc.arg(every)::interval
WHERE customer_id = ANY(ARRAY(
    SELECT c.customer_id FROM sync_configs c
    WHERE c.participations AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_participations_at <= rollcall_now()
    ORDER BY c.next_participations_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED))
RETURNING customer_id;

-- name: SyncConfigEndParticipationsCycle :exec
UPDATE sync_configs
SET participations_cycle_seconds = extract(epoch FROM rollcall_now() - sqlc.arg(began_at)::timestamptz),
    next_participations_at = greatest(rollcall_now(), sqlc.arg(began_at)::timestamptz + sqlc.arg(every)::interval)
WHERE customer_id = sqlc.arg(customer_id);
