-- name: OutboxInsertMany :exec
INSERT INTO outbox (subject, msg_id, headers, payload, created_at, next_attempt_at)
SELECT v.subject, v.msg_id, v.headers, v.payload, rollcall_now(), rollcall_now()
FROM (SELECT unnest(sqlc.arg(subjects)::text[]) AS subject, unnest(sqlc.arg(msg_ids)::text[]) AS msg_id,
             unnest(sqlc.arg(headers)::jsonb[]) AS headers, unnest(sqlc.arg(payloads)::bytea[]) AS payload) v;

-- name: OutboxLockDue :many
-- A batch that this relay publishes while it holds the rows; other relays pass them by.
SELECT id, subject, msg_id, headers, payload, attempts FROM outbox
WHERE next_attempt_at <= rollcall_now() ORDER BY next_attempt_at, id LIMIT sqlc.arg(batch_size) FOR UPDATE SKIP LOCKED;

-- name: OutboxDelete :exec
DELETE FROM outbox WHERE id = ANY(sqlc.arg(ids)::bigint[]);

-- name: OutboxDelay :exec
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval
WHERE id = sqlc.arg(id);

-- name: OutboxDepth :one
SELECT count(*) FROM outbox;

-- name: AlertRaiseIfNew :one
INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ($1, $2, $3, rollcall_now())
ON CONFLICT (customer_id, type) WHERE cleared_at IS NULL DO NOTHING
RETURNING id;

-- name: AlertClearIfStanding :one
UPDATE alerts SET cleared_at = rollcall_now()
WHERE customer_id = $1 AND type = $2 AND cleared_at IS NULL
RETURNING id, severity, raised_at;

-- name: AlertsStanding :many
SELECT type, severity, raised_at FROM alerts WHERE customer_id = $1 AND cleared_at IS NULL ORDER BY type;

-- name: Now :one
SELECT rollcall_now()::timestamptz AS now;
