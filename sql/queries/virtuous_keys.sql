-- name: KeyRefused :exec
-- Only a key that has worked before is tried again.
INSERT INTO virtuous_keys (customer_id, refused_at, try_at)
SELECT c.customer_id, rollcall_now(), CASE WHEN NOT c.enabled AND k.worked_at IS NOT NULL THEN rollcall_now() + interval '1 hour' END
FROM virtuous_configs c LEFT JOIN virtuous_keys k ON k.customer_id = c.customer_id
WHERE c.customer_id = sqlc.arg(customer_id)
ON CONFLICT (customer_id) DO UPDATE SET refused_at = excluded.refused_at, try_at = excluded.try_at;

-- name: KeyWorked :exec
-- Written once an hour, and when a rejection is over. The row of all rejections is changed by what stood before.
WITH heard AS (
    UPDATE virtuous_refusals r SET worked_at = rollcall_now()
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
      AND EXISTS (SELECT FROM virtuous_keys b WHERE b.customer_id = sqlc.arg(customer_id) AND b.refused_at IS NOT NULL)
)
INSERT INTO virtuous_keys (customer_id, worked_at)
SELECT c.customer_id, rollcall_now() FROM virtuous_configs c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.enabled
  AND NOT EXISTS (SELECT FROM virtuous_keys k WHERE k.customer_id = c.customer_id AND k.refused_at IS NULL
                  AND k.worked_at >= rollcall_now() - interval '1 hour')
ON CONFLICT (customer_id) DO UPDATE SET worked_at = excluded.worked_at, refused_at = NULL;

-- name: KeyGiven :exec
-- Virtuous has just accepted the new key; the old one is not tried any more.
INSERT INTO virtuous_keys (customer_id, worked_at) VALUES ($1, rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET worked_at = excluded.worked_at, refused_at = NULL, try_at = NULL;

-- name: KeyRefusalIsVirtuous :one
-- Whether Virtuous rejects many at once now, and this customer's key worked in the day before it began to.
SELECT EXISTS (
    SELECT FROM virtuous_refusals r JOIN virtuous_keys k ON k.customer_id = sqlc.arg(customer_id)
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL AND k.worked_at > r.began_at - interval '24 hours') AS virtuous;

-- name: KeyRefusalsActive :one
SELECT (r.began_at IS NOT NULL AND r.over_at IS NULL)::boolean AS active FROM virtuous_refusals r;

-- name: KeysRefusedLately :one
-- Keys that had worked within a day: those of others are no news.
SELECT count(*) FROM virtuous_keys k
WHERE k.refused_at > rollcall_now() - interval '60 seconds' AND k.worked_at > rollcall_now() - interval '24 hours';

-- name: KeysAskedLately :one
-- As AskedLately. next_at does not say when the last request was: it is up to a burst in the past.
SELECT count(*) FROM (
    SELECT FROM virtuous_budgets b
    WHERE b.taken_at > rollcall_now() - interval '60 seconds'
    LIMIT sqlc.arg(at_most)) asked;

-- name: KeyRefusalsBegin :execrows
UPDATE virtuous_refusals SET began_at = rollcall_now(), worked_at = NULL, over_at = NULL WHERE began_at IS NULL OR over_at IS NOT NULL;

-- name: KeyRefusalsEnd :execrows
-- After a day it is no outage: keys that are rejected until then are bad ones.
UPDATE virtuous_refusals r SET over_at = rollcall_now()
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
  AND (r.worked_at IS NOT NULL OR r.began_at < rollcall_now() - interval '24 hours'
       OR (SELECT k.customer_id FROM virtuous_keys k WHERE k.refused_at >= r.began_at - interval '60 seconds'
           ORDER BY k.refused_at DESC LIMIT 1) IS NULL);

-- name: KeysRefusedByVirtuous :many
-- Customers whose giving was switched off for what is the fault of Virtuous.
SELECT c.customer_id FROM virtuous_refusals r
JOIN virtuous_keys k ON k.refused_at IS NOT NULL AND k.refused_at >= r.began_at - interval '60 seconds'
CROSS JOIN LATERAL (SELECT s.* FROM virtuous_configs s WHERE s.customer_id = k.customer_id LIMIT 1) c
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL AND c.disabled_reason = 'auth_failed' AND k.worked_at > r.began_at - interval '24 hours'
ORDER BY c.customer_id LIMIT 100;

-- name: KeyTriesClaim :many
-- Each is tried by one process, and comes again an hour later, for a day.
UPDATE virtuous_keys
SET try_at = CASE WHEN rollcall_now() + interval '1 hour' <= refused_at + interval '24 hours 10 minutes' THEN rollcall_now() + interval '1 hour' END
WHERE customer_id IN (
    SELECT k.customer_id FROM virtuous_keys k
    CROSS JOIN LATERAL (SELECT s.* FROM virtuous_configs s WHERE s.customer_id = k.customer_id LIMIT 1) v
    CROSS JOIN LATERAL (SELECT s.* FROM sync_configs s WHERE s.customer_id = k.customer_id LIMIT 1) c
    WHERE k.try_at <= rollcall_now() AND v.disabled_reason = 'auth_failed' AND c.offboarded_at IS NULL AND c.paused_at IS NULL
    ORDER BY k.try_at LIMIT 10 FOR UPDATE OF k SKIP LOCKED)
RETURNING customer_id;

-- name: KeyTriesEnd :exec
UPDATE virtuous_keys SET try_at = NULL WHERE customer_id = $1;
