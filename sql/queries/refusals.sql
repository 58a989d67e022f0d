-- name: TokenRefused :exec
-- Only a token that has worked before is tried again.
UPDATE sync_configs
SET token_refused_at = rollcall_now(),
    token_try_at = CASE WHEN NOT enabled AND greatest(token_worked_at, last_polled_at, poll_page_at) IS NOT NULL
                        THEN rollcall_now() + interval '1 hour' END
WHERE customer_id = $1;

-- name: TokenWorked :exec
-- Written once an hour, and when a refusal is over. The row of all refusals is read as it was before.
WITH heard AS (
    UPDATE vomo_refusals r SET worked_at = rollcall_now()
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
      AND EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = sqlc.arg(customer_id) AND c.token_refused_at IS NOT NULL)
)
UPDATE sync_configs s SET token_worked_at = rollcall_now(), token_refused_at = NULL
WHERE s.customer_id = sqlc.arg(customer_id) AND s.enabled
  AND (s.token_refused_at IS NOT NULL OR s.token_worked_at IS NULL OR s.token_worked_at < rollcall_now() - interval '1 hour');

-- name: RefusalIsVomos :one
-- Whether VOMO refuses many at once now, and this customer's token worked in the day before it began to.
SELECT EXISTS (
    SELECT FROM vomo_refusals r JOIN sync_configs c ON c.customer_id = sqlc.arg(customer_id)
    WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
      AND greatest(c.token_worked_at, c.last_polled_at, c.poll_page_at) > r.began_at - interval '24 hours') AS vomos;

-- name: RefusalsActive :one
SELECT (r.began_at IS NOT NULL AND r.over_at IS NULL)::boolean AS active FROM vomo_refusals r;

-- name: RefusedLately :one
-- Tokens that had worked within a day: those of others are no news.
SELECT count(*) FROM sync_configs
WHERE token_refused_at > rollcall_now() - interval '60 seconds'
  AND greatest(token_worked_at, last_polled_at, poll_page_at) > rollcall_now() - interval '24 hours';

-- name: AskedLately :one
-- Counted no further than is of use; only read while several are refused.
SELECT count(*) FROM (
    SELECT FROM customer_budgets b WHERE b.granted_at > rollcall_now() - interval '60 seconds' LIMIT sqlc.arg(at_most)) asked;

-- name: RefusalsBegin :execrows
UPDATE vomo_refusals SET began_at = rollcall_now(), worked_at = NULL, over_at = NULL WHERE began_at IS NULL OR over_at IS NOT NULL;

-- name: RefusalsEnd :execrows
-- After a day it is no outage: tokens that are refused until then are bad ones.
UPDATE vomo_refusals r SET over_at = rollcall_now()
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
  AND (r.worked_at IS NOT NULL OR r.began_at < rollcall_now() - interval '24 hours'
       OR NOT EXISTS (SELECT FROM sync_configs c WHERE c.token_refused_at >= r.began_at - interval '60 seconds'));

-- name: RefusedByVomo :many
-- Customers that were switched off for what is VOMO's fault.
SELECT c.customer_id FROM vomo_refusals r JOIN sync_configs c ON c.token_refused_at >= r.began_at - interval '60 seconds'
WHERE r.began_at IS NOT NULL AND r.over_at IS NULL
  AND NOT c.enabled AND c.disabled_reason = 'auth_failed' AND c.offboarded_at IS NULL
  AND greatest(c.token_worked_at, c.last_polled_at, c.poll_page_at) > r.began_at - interval '24 hours'
ORDER BY c.customer_id LIMIT 100;

-- name: TokenTriesClaim :many
-- Each is tried by one process, and comes again an hour later, for a day.
UPDATE sync_configs
SET token_try_at = CASE WHEN rollcall_now() + interval '1 hour' <= token_refused_at + interval '24 hours 10 minutes'
                        THEN rollcall_now() + interval '1 hour' END
WHERE customer_id IN (
    SELECT t.customer_id FROM sync_configs t
    WHERE t.token_try_at <= rollcall_now() AND NOT t.enabled AND t.disabled_reason = 'auth_failed'
      AND t.offboarded_at IS NULL AND t.paused_at IS NULL
    ORDER BY t.token_try_at LIMIT 10 FOR UPDATE SKIP LOCKED)
RETURNING customer_id;

-- name: SyncConfigSwitchOn :execrows
-- With works, the token is known to work; otherwise only the switching off was wrong.
UPDATE sync_configs
SET enabled = true, disabled_reason = NULL, token_try_at = NULL, active_since = rollcall_now(), updated_at = rollcall_now(),
    next_poll_at = CASE WHEN sqlc.arg(works)::boolean THEN rollcall_now() ELSE next_poll_at END,
    token_worked_at = CASE WHEN sqlc.arg(works)::boolean THEN rollcall_now() ELSE token_worked_at END,
    token_refused_at = CASE WHEN sqlc.arg(works)::boolean THEN NULL ELSE token_refused_at END
WHERE customer_id = sqlc.arg(customer_id) AND NOT enabled AND disabled_reason = 'auth_failed' AND offboarded_at IS NULL;

-- name: SyncRunsBlameVomo :exec
-- What was parked for the token is parked for VOMO, and tried again soon, not all at once.
UPDATE sync_runs
SET park_reason = 'vomo_unavailable', park_detail = sqlc.arg(park_detail)::text,
    due_at = rollcall_now() + random() * interval '20 seconds' + interval '5 seconds', updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND state = 'parked' AND park_reason = 'auth_failed';

-- name: RunBlameVomo :exec
UPDATE backfill_runs
SET park_reason = 'vomo_unavailable', park_detail = sqlc.arg(park_detail)::text,
    due_at = rollcall_now() + random() * interval '20 seconds' + interval '5 seconds', updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND state = 'parked' AND park_reason = 'auth_failed';
