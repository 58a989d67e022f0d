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
