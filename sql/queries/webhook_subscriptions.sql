-- name: SubscriptionInsertIfNone :one
-- Notes that a subscription is about to be requested. No row if the customer has an open one.
INSERT INTO webhook_subscriptions (customer_id, state, payload_url, toggles, requested_at, updated_at)
VALUES (sqlc.arg(customer_id), 'requested', sqlc.arg(payload_url), sqlc.arg(toggles)::text[], rollcall_now(), rollcall_now())
ON CONFLICT (customer_id) WHERE state IN ('requested', 'active') DO NOTHING
RETURNING id;

-- name: SubscriptionsLoseOld :execrows
-- The process that requested these has ended before it had an answer: Virtuous may have them.
UPDATE webhook_subscriptions
SET state = 'orphaned', ended_at = rollcall_now(), last_error = 'answer_lost', updated_at = rollcall_now()
WHERE customer_id = $1 AND state = 'requested' AND requested_at < rollcall_now() - interval '2 minutes';

-- name: SubscriptionActivateIfRequested :execrows
UPDATE webhook_subscriptions
SET state = 'active', virtuous_webhook_id = sqlc.arg(virtuous_webhook_id)::bigint, created_at = rollcall_now(), last_error = NULL, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'requested';

-- name: SubscriptionEndIf :execrows
UPDATE webhook_subscriptions
SET state = sqlc.arg(state)::text, ended_at = rollcall_now(), last_error = nullif(sqlc.arg(last_error)::text, ''), next_attempt_at = NULL,
    remove_until = NULL, rotating_since = NULL, key_sealed = NULL, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = sqlc.arg(was)::text;

-- name: SubscriptionsOf :many
-- The customer's subscriptions, newest first.
SELECT id, customer_id, state, coalesce(virtuous_webhook_id, 0)::bigint AS virtuous_webhook_id, payload_url, toggles, requested_at, created_at,
       verified_at, differences, coalesce(last_error, '')::text AS last_error, ended_at, rotating_since
FROM webhook_subscriptions WHERE customer_id = sqlc.arg(customer_id) ORDER BY id DESC LIMIT sqlc.arg(at_most);

-- name: SubscriptionOpenLock :one
SELECT id, state, coalesce(virtuous_webhook_id, 0)::bigint AS virtuous_webhook_id, rotating_since
FROM webhook_subscriptions WHERE customer_id = $1 AND state IN ('requested', 'active') FOR UPDATE;

-- name: SubscriptionNoteVerified :exec
UPDATE webhook_subscriptions SET verified_at = rollcall_now(), differences = sqlc.arg(differences)::text[], updated_at = rollcall_now()
WHERE id = sqlc.arg(id);

-- name: SubscriptionRotateBegin :one
-- If the rotation has no end by then, the service onboarding continues it after the delay.
UPDATE webhook_subscriptions
SET rotating_since = rollcall_now(), attempts = 0, next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'active'
RETURNING rotating_since::timestamptz AS rotating_since;

-- name: SubscriptionRotateClaimDue :one
-- One process continues a rotation at a time. If it dies, the row is due again after the hold.
UPDATE webhook_subscriptions w SET next_attempt_at = rollcall_now() + sqlc.arg(hold)::interval, attempts = w.attempts + 1
WHERE w.id = (SELECT d.id FROM webhook_subscriptions d
              WHERE d.next_attempt_at <= rollcall_now() AND d.state = 'active' AND d.rotating_since IS NOT NULL
              ORDER BY d.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING w.id, w.customer_id, w.attempts;

-- name: SubscriptionRotatePostpone :exec
UPDATE webhook_subscriptions
SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, last_error = sqlc.arg(last_error)::text, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'active' AND rotating_since IS NOT NULL;

-- name: SubscriptionRotateEnd :execrows
-- The secret before counts for a day from now on. An operator may have removed the subscription in the meantime. A rotation that began after
-- this one stays open: Virtuous does not have its secret.
WITH kept AS (
    UPDATE credentials k SET updated_at = rollcall_now()
    WHERE k.customer_id = sqlc.arg(customer_id) AND k.name = 'virtuous_webhook_secret_before'
)
UPDATE webhook_subscriptions
SET rotating_since = CASE WHEN rotating_since > sqlc.arg(began_at)::timestamptz THEN rotating_since END,
    next_attempt_at = CASE WHEN rotating_since > sqlc.arg(began_at)::timestamptz THEN next_attempt_at END,
    payload_url = sqlc.arg(payload_url), toggles = sqlc.arg(toggles)::text[], last_error = NULL, updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'active';

-- name: SubscriptionRemoveBegin :execrows
UPDATE webhook_subscriptions
SET state = 'removing', remove_until = rollcall_now() + interval '1 hour', next_attempt_at = rollcall_now(), attempts = 0, rotating_since = NULL, updated_at = rollcall_now()
WHERE customer_id = $1 AND state = 'active';

-- name: SubscriptionRemoveFailed :exec
UPDATE webhook_subscriptions
SET attempts = attempts + 1, last_error = sqlc.arg(last_error)::text, next_attempt_at = rollcall_now() + interval '1 minute', updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'removing';

-- name: InboxReplay :one
-- Has a batch of parts that were worked applied again, in the order in which they were received. A letter of one of them stays until its own retry.
WITH batch AS (
    SELECT i.id, i.received_at FROM webhook_inbox i
    WHERE i.customer_id = sqlc.arg(customer_id) AND (i.received_at, i.id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after_id)::bigint)
      AND i.received_at < sqlc.arg(until)::timestamptz
    ORDER BY i.received_at, i.id LIMIT sqlc.arg(at_most)
), replayed AS (
    UPDATE webhook_inbox w SET state = 'waiting', next_attempt_at = rollcall_now(), attempts = 0, failures = 0, applied_at = NULL
    FROM batch b
    WHERE w.customer_id = sqlc.arg(customer_id) AND w.id = b.id AND w.state = 'applied'
    RETURNING w.id, w.records
), last AS (SELECT b.received_at, b.id FROM batch b ORDER BY b.received_at DESC, b.id DESC LIMIT 1)
SELECT (SELECT count(*) FROM batch) AS seen, (SELECT count(*) FROM replayed) AS parts,
       (SELECT coalesce(sum(r.records), 0) FROM replayed r)::bigint AS records,
       coalesce((SELECT l.received_at FROM last l), '1970-01-01T00:00:00Z')::timestamptz AS last_at,
       coalesce((SELECT l.id FROM last l), 0)::bigint AS last_id;
