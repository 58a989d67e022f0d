-- name: SyncConfigUpsert :one
-- Keeps onboarded_at of a customer that was never offboarded: the same request twice is one onboarding.
INSERT INTO sync_configs (customer_id, external_system_url, destination, poll_cadence_minutes, admin_email,
                          requests_per_second, requests_per_minute, backfill_not_before, quiet_hours, write_back, participations, enabled,
                          onboarded_at, updated_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(external_system_url), sqlc.arg(destination),
        sqlc.arg(poll_cadence_minutes), sqlc.narg(admin_email), sqlc.narg(requests_per_second),
        sqlc.narg(requests_per_minute), sqlc.narg(backfill_not_before), sqlc.narg(quiet_hours), sqlc.narg(write_back),
        sqlc.arg(participations), true,
        rollcall_now(), rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET
    external_system_url = excluded.external_system_url, destination = excluded.destination,
    poll_cadence_minutes = excluded.poll_cadence_minutes, admin_email = excluded.admin_email,
    requests_per_second = excluded.requests_per_second, requests_per_minute = excluded.requests_per_minute,
    backfill_not_before = excluded.backfill_not_before, quiet_hours = excluded.quiet_hours,
    write_back = excluded.write_back,
    participations = excluded.participations,
    enabled = true, disabled_reason = NULL, updated_at = rollcall_now(), offboarded_at = NULL,
    paused_at = CASE WHEN sync_configs.offboarded_at IS NULL THEN sync_configs.paused_at END, -- a pause ends with the customer
    active_since = CASE WHEN sync_configs.enabled AND sync_configs.poll_cadence_minutes = excluded.poll_cadence_minutes
                        THEN sync_configs.active_since ELSE rollcall_now() END,
    next_poll_at = CASE WHEN sync_configs.enabled AND sync_configs.poll_cadence_minutes = excluded.poll_cadence_minutes
                        THEN sync_configs.next_poll_at ELSE rollcall_now() END,
    onboarded_at = CASE WHEN sync_configs.offboarded_at IS NULL THEN sync_configs.onboarded_at
                        ELSE rollcall_now() END
RETURNING onboarded_at;

-- name: SyncConfigOffboardIfKnown :execrows
UPDATE sync_configs
SET enabled = false, offboarded_at = coalesce(offboarded_at, rollcall_now()), admin_email = NULL, updated_at = rollcall_now()
WHERE customer_id = $1;

-- name: SyncConfigMarkBackfilled :exec
-- Keeps the date of the first backfill.
UPDATE sync_configs
SET backfill_completed_at = coalesce(backfill_completed_at, rollcall_now()), backfill_processed_count = sqlc.arg(processed), updated_at = rollcall_now(),
    active_since = coalesce(active_since, rollcall_now()), next_poll_at = coalesce(next_poll_at, rollcall_now())
WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigUnmarkBackfilled :exec
-- The customer's mapping is gone: if it returns, it is backfilled.
UPDATE sync_configs SET backfill_completed_at = NULL, updated_at = rollcall_now() WHERE customer_id = $1;

-- name: CredentialUpsert :exec
INSERT INTO credentials (customer_id, name, sealed, updated_at)
VALUES ($1, $2, $3, rollcall_now())
ON CONFLICT (customer_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at;

-- name: CredentialDelete :exec
DELETE FROM credentials WHERE customer_id = $1 AND name = $2;

-- name: CredentialsDelete :exec
-- Also what lets others see the customer in the console.
WITH oauth AS (DELETE FROM virtuous_oauth o WHERE o.customer_id = $1),
     grants AS (DELETE FROM access_grants g WHERE g.customer_id = $1),
     answers AS (DELETE FROM idempotency_keys i WHERE i.customer_id = $1)
DELETE FROM credentials k WHERE k.customer_id = $1;

-- name: CheckpointInsertIfAbsent :exec
INSERT INTO sync_checkpoints (customer_id, resource, checkpoint, updated_at)
VALUES ($1, $2, $3, rollcall_now())
ON CONFLICT (customer_id, resource) DO NOTHING;

-- name: CheckpointAdvance :exec
-- A checkpoint never goes back.
INSERT INTO sync_checkpoints (customer_id, resource, checkpoint, updated_at)
VALUES ($1, $2, $3, rollcall_now())
ON CONFLICT (customer_id, resource) DO UPDATE
SET checkpoint = greatest(sync_checkpoints.checkpoint, excluded.checkpoint), updated_at = excluded.updated_at;

-- name: MirrorSidesOf :one
-- What opening both sides of the customer's mirror needs to know. The rewrite is that of RewriteOwed, the hold that of
-- DestinationHold, and the token works if TokenWorked would change nothing.
SELECT (SELECT c.sealed FROM credentials c WHERE c.customer_id = o.customer_id AND c.name = 'vomo_token')::bytea AS vomo_token,
       (SELECT c.sealed FROM credentials c WHERE c.customer_id = o.customer_id AND c.name = 'destination_token')::bytea AS destination_token,
       coalesce(k.key_id, '')::text AS key_id, k.sealed_key,
       EXISTS (SELECT FROM mapping_archives m WHERE m.customer_id = o.customer_id) AS archived,
       coalesce((SELECT h.until - rollcall_now() FROM destination_holds h JOIN sync_configs s USING (customer_id)
                 WHERE h.customer_id = o.customer_id AND h.destination = s.destination AND h.until > rollcall_now()),
                '0')::interval AS hold,
       ARRAY(SELECT a.type FROM alerts a
             WHERE a.customer_id IN (o.customer_id, '_installation') AND a.cleared_at IS NULL)::text[] AS alerts,
       EXISTS (SELECT FROM customer_tokens t WHERE t.customer_id = o.customer_id AND t.refused_at IS NULL
               AND t.worked_at >= rollcall_now() - interval '1 hour') AS token_works,
       coalesce((SELECT b.throttles FROM customer_budgets b WHERE b.customer_id = o.customer_id), 0)::integer AS throttles,
       w.rewrite_before AS rewrite_owed, coalesce(w.new_system, false)::boolean AS new_system,
       EXISTS (SELECT FROM dead_letters d WHERE d.customer_id = o.customer_id AND d.kind = 'user' AND d.state <> 'settled' AND d.record_id IS NOT NULL) AS letters_open
FROM (SELECT sqlc.arg(customer_id)::text AS customer_id) o
LEFT JOIN customer_keys k ON k.customer_id = o.customer_id
LEFT JOIN LATERAL (
    SELECT r.rewrite_before, r.new_system FROM (
        SELECT l.rewrite_before, l.new_system, l.state FROM all_runs l
        WHERE l.customer_id = o.customer_id AND l.rewrite_before IS NOT NULL AND l.kind = 'backfill' ORDER BY l.id DESC LIMIT 1) r
    WHERE r.state <> 'completed') w ON true;
