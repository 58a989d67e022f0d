-- name: RemovalsOf :many
-- The customer's subscriptions that can be deleted at Virtuous: their ids are known.
SELECT id, key_sealed FROM webhook_subscriptions WHERE customer_id = $1 AND state IN ('active', 'removing') ORDER BY id FOR UPDATE;

-- name: RemovalBegin :exec
-- The subscription is deleted at Virtuous within an hour, or given up.
UPDATE webhook_subscriptions
SET state = 'removing', key_sealed = sqlc.arg(key_sealed), remove_until = coalesce(remove_until, rollcall_now() + interval '1 hour'),
    next_attempt_at = rollcall_now(), attempts = CASE WHEN state = 'active' THEN 0 ELSE attempts END, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state IN ('active', 'removing');

-- name: RemovalClaimDue :one
-- One process deletes a subscription at a time. If it dies, the row is due again after the hold.
UPDATE webhook_subscriptions w
SET next_attempt_at = least(rollcall_now() + sqlc.arg(hold)::interval, greatest(w.remove_until, rollcall_now())), attempts = w.attempts + 1
WHERE w.id = (SELECT d.id FROM webhook_subscriptions d
              WHERE d.next_attempt_at <= rollcall_now() AND d.state = 'removing' ORDER BY d.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING w.id, w.customer_id, w.virtuous_webhook_id::bigint AS virtuous_webhook_id, w.key_sealed, w.attempts,
          (w.remove_until <= rollcall_now())::boolean AS is_over;

-- name: RemovalPostpone :exec
UPDATE webhook_subscriptions
SET next_attempt_at = least(rollcall_now() + sqlc.arg(delay)::interval, remove_until), last_error = sqlc.arg(last_error)::text, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'removing';

-- name: RemovalsOpenCount :one
SELECT count(*) FROM webhook_subscriptions WHERE customer_id = $1 AND state = 'removing';
