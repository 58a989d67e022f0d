-- name: WebhookSecrets :one
-- The sealed secrets that sign deliveries to a customer; the one before a rotation counts for a day, and as long as the
-- rotation is not over. No row if the customer has no giving,
-- or is offboarded: its deliveries are rejected from that moment on.
SELECT v.organization_id, coalesce((SELECT k.sealed FROM credentials k WHERE k.customer_id = v.customer_id AND k.name = 'virtuous_webhook_secret'), '')::bytea AS secret,
       coalesce((SELECT b.sealed FROM credentials b WHERE b.customer_id = v.customer_id AND b.name = 'virtuous_webhook_secret_before'
                 AND (b.updated_at > rollcall_now() - interval '24 hours'
                      OR EXISTS (SELECT FROM webhook_subscriptions w WHERE w.customer_id = v.customer_id AND w.state IN ('requested', 'active')
                                 AND w.rotating_since IS NOT NULL))), '')::bytea AS secret_before
FROM virtuous_configs v JOIN sync_configs s USING (customer_id)
WHERE v.customer_id = sqlc.arg(customer_id)::text AND v.disabled_reason IS DISTINCT FROM 'removed' AND s.offboarded_at IS NULL;

-- name: InboxInsertIfNew :execrows
-- Adds a part of a delivery, unless it is known, or the customer has no giving any more or that of another organization. The lock has it wait
-- for a transaction that forgets an organization; it goes with that of one that applies records. Two known parts are applied once more: one that became
-- a letter, whose retry publishes it again, and one that comes later than a sender repeats a request. A notice without the record's time has the
-- same bytes each time: a gift may have been changed, or restored and deleted, again.
INSERT INTO webhook_inbox (customer_id, digest, event, records, sealed, state, next_attempt_at, trace_id, received_at)
SELECT v.customer_id, sqlc.arg(digest), sqlc.arg(event), sqlc.arg(records)::integer, sqlc.arg(sealed), 'waiting', rollcall_now(), sqlc.arg(trace_id)::text,
       sqlc.arg(received_at)
FROM virtuous_configs v JOIN sync_configs s USING (customer_id)
WHERE v.customer_id = sqlc.arg(customer_id)::text AND v.disabled_reason IS DISTINCT FROM 'removed' AND s.offboarded_at IS NULL
  AND v.organization_id = sqlc.arg(organization_id)::text
FOR KEY SHARE OF v
ON CONFLICT (customer_id, digest) DO UPDATE
SET state = 'waiting', failures = 0, next_attempt_at = excluded.next_attempt_at, received_at = excluded.received_at, applied_at = NULL
WHERE webhook_inbox.state = 'letter' OR excluded.received_at >= webhook_inbox.received_at + interval '10 minutes';

-- name: InboxCustomers :many
-- Active customers with a part that is due, one step through the index for each.
WITH RECURSIVE waiting AS (
    (SELECT w.customer_id FROM webhook_inbox w WHERE w.state = 'waiting' ORDER BY w.customer_id LIMIT 1)
    UNION ALL
    SELECT n.customer_id FROM waiting f
    CROSS JOIN LATERAL (SELECT w.customer_id FROM webhook_inbox w WHERE w.state = 'waiting' AND w.customer_id > f.customer_id
                        ORDER BY w.customer_id LIMIT 1) n
)
SELECT f.customer_id FROM waiting f
CROSS JOIN LATERAL (SELECT s.customer_id FROM sync_configs s WHERE s.customer_id = f.customer_id AND s.paused_at IS NULL AND s.offboarded_at IS NULL LIMIT 1) c
CROSS JOIN LATERAL (SELECT d.id FROM webhook_inbox d WHERE d.customer_id = f.customer_id AND d.state = 'waiting' AND d.next_attempt_at <= rollcall_now()
                    ORDER BY d.next_attempt_at LIMIT 1) due;

-- name: InboxDue :many
-- Customers' parts that are due. A part that another process works is passed over while its claim lasts.
UPDATE webhook_inbox i SET next_attempt_at = rollcall_now() + sqlc.arg(claim_for)::interval, attempts = i.attempts + 1
WHERE i.customer_id = sqlc.arg(customer_id)::text AND i.state = 'waiting' AND i.id = ANY(ARRAY(
    SELECT w.id FROM webhook_inbox w
    WHERE w.customer_id = sqlc.arg(customer_id)::text AND w.state = 'waiting' AND w.next_attempt_at <= rollcall_now()
    ORDER BY w.next_attempt_at, w.id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED))
RETURNING i.id, i.event, i.records, i.sealed, i.attempts, i.failures, coalesce(i.trace_id, '')::text AS trace_id, i.received_at;

-- name: InboxSettleIfWaiting :execrows
-- Ends the work on a part, unless another process claimed it since, or it came again since.
UPDATE webhook_inbox SET state = sqlc.arg(state), applied = sqlc.arg(applied), skipped = sqlc.arg(skipped), failed = sqlc.arg(failed), next_attempt_at = NULL,
    applied_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND state = 'waiting'
  AND attempts = sqlc.arg(attempts) AND received_at = sqlc.arg(received_at);

-- name: InboxPostponeIfWaiting :execrows
UPDATE webhook_inbox SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval,
    failures = failures + CASE WHEN sqlc.arg(failed)::boolean THEN 1 ELSE 0 END
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND state = 'waiting'
  AND attempts = sqlc.arg(attempts) AND received_at = sqlc.arg(received_at);

-- name: InboxForgetOld :execrows
-- Deletes a batch of old parts. One that waits stays.
DELETE FROM webhook_inbox
WHERE ctid = ANY(ARRAY(
    SELECT o.ctid FROM webhook_inbox o WHERE o.received_at < rollcall_now() - sqlc.arg(older_than)::interval AND o.state <> 'waiting'
    ORDER BY o.received_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
