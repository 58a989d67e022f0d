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
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval,
    refused_since = CASE WHEN sqlc.arg(refused)::boolean THEN coalesce(refused_since, rollcall_now()) END
WHERE id = sqlc.arg(id);

-- name: OutboxStalledSeconds :one
-- For how long the oldest message has been refused, or has been due without a relay that asks.
SELECT greatest(extract(epoch FROM rollcall_now() - least(
    (SELECT min(refused_since) FROM outbox WHERE refused_since IS NOT NULL),
    (SELECT next_attempt_at FROM outbox ORDER BY next_attempt_at, id LIMIT 1))), 0)::double precision AS seconds;

-- name: OutboxClaimRefused :many
-- Refused messages of a subject, for one who sends them past the bus. They stay: the bus gets them, too.
UPDATE outbox o SET direct_at = rollcall_now()
FROM (SELECT r.id FROM outbox r
      WHERE r.refused_since IS NOT NULL AND starts_with(r.subject, sqlc.arg(prefix)::text)
        AND (r.direct_at IS NULL OR r.direct_at <= rollcall_now() - sqlc.arg(again)::interval)
      ORDER BY r.refused_since, r.id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED) claimed
WHERE o.id = claimed.id
RETURNING o.id, o.subject, o.msg_id, o.headers, o.payload, o.created_at;

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

-- name: AlertLockStanding :one
SELECT id FROM alerts WHERE customer_id = $1 AND type = $2 AND cleared_at IS NULL FOR UPDATE;

-- name: AlertsStanding :many
SELECT type, severity, raised_at FROM alerts WHERE customer_id = $1 AND cleared_at IS NULL ORDER BY type;

-- name: Now :one
SELECT rollcall_now()::timestamptz AS now;
