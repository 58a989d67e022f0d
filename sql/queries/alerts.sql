-- name: AlertRaiseIfNew :one
INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ($1, $2, $3, rollcall_now())
ON CONFLICT (customer_id, type) WHERE cleared_at IS NULL DO NOTHING
RETURNING id;

-- name: AlertClearIfActive :one
UPDATE alerts SET cleared_at = rollcall_now()
WHERE customer_id = $1 AND type = $2 AND cleared_at IS NULL
RETURNING id, severity, raised_at;

-- name: AlertLockActive :one
SELECT id FROM alerts WHERE customer_id = $1 AND type = $2 AND cleared_at IS NULL FOR UPDATE;
