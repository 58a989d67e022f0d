-- name: TokenRefused :exec
-- Only a token that has worked before is tried again.
INSERT INTO customer_tokens (customer_id, refused_at, try_at)
SELECT c.customer_id, rollcall_now(),
       CASE WHEN NOT c.enabled AND greatest(t.worked_at, c.last_polled_at, c.poll_page_at) IS NOT NULL THEN rollcall_now() + interval '1 hour' END
FROM sync_configs c LEFT JOIN customer_tokens t ON t.customer_id = c.customer_id
WHERE c.customer_id = sqlc.arg(customer_id)
ON CONFLICT (customer_id) DO UPDATE SET refused_at = excluded.refused_at, try_at = excluded.try_at;

-- name: TokenWorked :exec
-- Written once an hour, and when a refusal is over. The row of all refusals is changed by what stood before.
WITH heard AS (
    UPDATE vomo_refusals r SET worked_at = rollcall_now()
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
      AND EXISTS (SELECT FROM customer_tokens b WHERE b.customer_id = sqlc.arg(customer_id) AND b.refused_at IS NOT NULL)
)
INSERT INTO customer_tokens (customer_id, worked_at)
SELECT c.customer_id, rollcall_now() FROM sync_configs c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.enabled
  AND NOT EXISTS (SELECT FROM customer_tokens k WHERE k.customer_id = c.customer_id AND k.refused_at IS NULL
                  AND k.worked_at >= rollcall_now() - interval '1 hour')
ON CONFLICT (customer_id) DO UPDATE SET worked_at = excluded.worked_at, refused_at = NULL;

-- name: TokenGiven :exec
-- VOMO has just taken the new token; the old one is not tried any more.
INSERT INTO customer_tokens (customer_id, worked_at) VALUES ($1, rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET worked_at = excluded.worked_at, refused_at = NULL, try_at = NULL;

-- name: TokenForget :exec
DELETE FROM customer_tokens WHERE customer_id = $1;

-- name: RefusalIsVomos :one
-- Whether VOMO refuses many at once now, and this customer's token worked in the day before it began to.
SELECT EXISTS (
    SELECT FROM vomo_refusals r JOIN sync_configs c ON c.customer_id = sqlc.arg(customer_id)
    LEFT JOIN customer_tokens t ON t.customer_id = c.customer_id
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
      AND greatest(t.worked_at, c.last_polled_at, c.poll_page_at) > r.began_at - interval '24 hours') AS vomos;

-- name: RefusalsActive :one
SELECT (r.began_at IS NOT NULL AND r.over_at IS NULL)::boolean AS active FROM vomo_refusals r;

-- name: RefusedLately :one
-- Tokens that had worked within a day: those of others are no news.
SELECT count(*) FROM customer_tokens t JOIN sync_configs c ON c.customer_id = t.customer_id
WHERE t.refused_at > rollcall_now() - interval '60 seconds'
  AND greatest(t.worked_at, c.last_polled_at, c.poll_page_at) > rollcall_now() - interval '24 hours';

-- name: AskedLately :one
-- For how many customers VOMO was asked within a minute: a grant moves next_at to just behind the moment of the request. One
-- that is held for longer was throttled before. Counted no further than is of use, and only while several are refused.
SELECT count(*) FROM (
    SELECT FROM customer_budgets b
    WHERE b.next_at > rollcall_now() - interval '60 seconds' AND b.next_at < rollcall_now() + interval '60 seconds'
    LIMIT sqlc.arg(at_most)) asked;

-- name: RefusalsBegin :execrows
UPDATE vomo_refusals SET began_at = rollcall_now(), worked_at = NULL, over_at = NULL WHERE began_at IS NULL OR over_at IS NOT NULL;

-- name: RefusalsEnd :execrows
-- After a day it is no outage: tokens that are refused until then are bad ones.
UPDATE vomo_refusals r SET over_at = rollcall_now()
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
  AND (r.worked_at IS NOT NULL OR r.began_at < rollcall_now() - interval '24 hours'
       OR (SELECT t.customer_id FROM customer_tokens t WHERE t.refused_at >= r.began_at - interval '60 seconds'
           ORDER BY t.refused_at DESC LIMIT 1) IS NULL);

-- name: RefusedByVomo :many
-- Customers that were switched off for what is VOMO's fault. LIMIT 1 has each of them looked up by itself.
SELECT c.customer_id FROM vomo_refusals r
JOIN customer_tokens t ON t.refused_at IS NOT NULL AND t.refused_at >= r.began_at - interval '60 seconds'
CROSS JOIN LATERAL (SELECT s.* FROM sync_configs s WHERE s.customer_id = t.customer_id LIMIT 1) c
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
  AND NOT c.enabled AND c.disabled_reason = 'auth_failed' AND c.offboarded_at IS NULL
  AND greatest(t.worked_at, c.last_polled_at, c.poll_page_at) > r.began_at - interval '24 hours'
ORDER BY c.customer_id LIMIT 100;

-- name: TokenTriesClaim :many
-- Each is tried by one process, and comes again an hour later, for a day.
UPDATE customer_tokens
SET try_at = CASE WHEN rollcall_now() + interval '1 hour' <= refused_at + interval '24 hours 10 minutes' THEN rollcall_now() + interval '1 hour' END
WHERE customer_id IN (
    SELECT t.customer_id FROM customer_tokens t JOIN sync_configs c ON c.customer_id = t.customer_id
    WHERE t.try_at <= rollcall_now() AND NOT c.enabled AND c.disabled_reason = 'auth_failed'
      AND c.offboarded_at IS NULL AND c.paused_at IS NULL
    ORDER BY t.try_at LIMIT 10 FOR UPDATE OF t SKIP LOCKED)
RETURNING customer_id;

-- name: SyncConfigSwitchOn :execrows
-- With works, the token is known to work, and a poll is due; otherwise only the switching off was wrong.
UPDATE sync_configs
SET enabled = true, disabled_reason = NULL, active_since = rollcall_now(), updated_at = rollcall_now(),
    next_poll_at = CASE WHEN sqlc.arg(works)::boolean THEN rollcall_now() ELSE next_poll_at END
WHERE customer_id = sqlc.arg(customer_id) AND NOT enabled AND disabled_reason = 'auth_failed' AND offboarded_at IS NULL;

-- name: TokenTriesEnd :exec
UPDATE customer_tokens SET try_at = NULL WHERE customer_id = $1;
