-- name: SubscriptionWish :exec
-- The customer is to have a webhook subscription at Virtuous, as soon as possible.
UPDATE virtuous_configs SET webhook_due_at = rollcall_now(), webhook_attempts = 0 WHERE customer_id = $1;

-- name: SubscriptionWishClaimDue :one
-- One process creates a subscription at a time. If it dies, the row is due again after the hold.
UPDATE virtuous_configs v SET webhook_due_at = rollcall_now() + sqlc.arg(hold)::interval, webhook_attempts = v.webhook_attempts + 1
WHERE v.customer_id = (SELECT d.customer_id FROM virtuous_configs d
                       WHERE d.webhook_due_at <= rollcall_now() AND d.enabled AND d.create_webhook
                       ORDER BY d.webhook_due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING v.customer_id, v.webhook_attempts;

-- name: SubscriptionWishPostpone :exec
UPDATE virtuous_configs SET webhook_due_at = rollcall_now() + sqlc.arg(delay)::interval
WHERE customer_id = sqlc.arg(customer_id) AND webhook_due_at IS NOT NULL;

-- name: SubscriptionWishEnd :exec
UPDATE virtuous_configs SET webhook_due_at = NULL WHERE customer_id = $1;
