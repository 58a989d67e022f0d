-- name: PollsScheduleDue :many
-- Polls of customers whose time has come: each is scheduled by one process, and moves on to the next place of its
-- cadence, whether or not the one before is still under way. That one stands for both: nothing is queued twice.
-- Those without a time are looked for by themselves, so that the index has the order of the others. They are ordered, too, which
-- changes nothing, so that Postgres uses the index where many customers were offboarded.
WITH untimed AS (
    SELECT c.customer_id FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_poll_at IS NULL
    ORDER BY c.next_poll_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
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

-- name: SyncConfigsLockReconcileDue :many
-- As PollsScheduleDue: up to as many of either kind.
WITH untimed AS (
    SELECT c.customer_id, c.quiet_hours, c.next_reconcile_at FROM sync_configs c
    WHERE c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
      AND c.next_reconcile_at IS NULL
    ORDER BY c.next_reconcile_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED
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

-- name: SyncConfigMarkPolled :exec
UPDATE sync_configs
SET last_polled_at = rollcall_now(), caught_up_at = greatest(caught_up_at, sqlc.arg(caught_up_at)), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id);

-- name: SyncConfigMarkPollPage :exec
UPDATE sync_configs SET poll_page_at = rollcall_now() WHERE customer_id = $1;

-- name: SyncConfigDisable :execrows
UPDATE sync_configs SET enabled = false, disabled_reason = sqlc.arg(reason)::text, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND enabled;

-- name: SyncConfigPause :execrows
UPDATE sync_configs SET paused_at = rollcall_now(), updated_at = rollcall_now() WHERE customer_id = $1 AND paused_at IS NULL;

-- name: SyncConfigResume :execrows
UPDATE sync_configs SET paused_at = NULL, active_since = rollcall_now(), next_poll_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = $1 AND paused_at IS NOT NULL;

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
