-- name: OutboxInsertMany :exec
INSERT INTO outbox (subject, msg_id, headers, payload, created_at, next_attempt_at)
SELECT v.subject, v.msg_id, v.headers, v.payload, rollcall_now(), rollcall_now()
FROM (SELECT unnest(sqlc.arg(subjects)::text[]) AS subject, unnest(sqlc.arg(msg_ids)::text[]) AS msg_id,
             unnest(sqlc.arg(headers)::jsonb[]) AS headers, unnest(sqlc.arg(payloads)::bytea[]) AS payload) v;

-- name: OutboxLockDue :many
-- Locks a batch that this relay publishes. Other relays skip the locked rows.
SELECT id, subject, msg_id, headers, payload, attempts FROM outbox
WHERE next_attempt_at <= rollcall_now() ORDER BY next_attempt_at, id LIMIT sqlc.arg(batch_size) FOR UPDATE SKIP LOCKED;

-- name: OutboxDelete :exec
DELETE FROM outbox WHERE id = ANY(sqlc.arg(ids)::bigint[]);

-- name: OutboxDelay :exec
UPDATE outbox SET attempts = attempts + 1, next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval,
    refused_since = CASE WHEN sqlc.arg(refused)::boolean THEN coalesce(refused_since, rollcall_now()) END
WHERE id = sqlc.arg(id);

-- name: OutboxClaimRefused :many
-- Claims rejected messages of a subject for a caller that sends them without the bus. They stay in the outbox for the bus, too.
UPDATE outbox o SET direct_at = rollcall_now()
FROM (SELECT r.id FROM outbox r
      WHERE r.refused_since IS NOT NULL AND starts_with(r.subject, sqlc.arg(prefix)::text)
        AND (r.direct_at IS NULL OR r.direct_at <= rollcall_now() - sqlc.arg(again)::interval)
      ORDER BY r.refused_since, r.id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED) claimed
WHERE o.id = claimed.id
RETURNING o.id, o.subject, o.msg_id, o.headers, o.payload, o.created_at;

-- name: OutboxForgetEvents :execrows
-- The oldest rows come first in the key, so the table is not read for those that are too young.
DELETE FROM outbox
WHERE id = ANY(ARRAY(
    SELECT o.id FROM (SELECT id, subject, created_at FROM outbox ORDER BY id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED) o
    WHERE o.created_at < rollcall_now() - sqlc.arg(older_than)::interval AND starts_with(o.subject, 'rollcall.events.')));
