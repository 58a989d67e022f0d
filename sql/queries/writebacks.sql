-- name: WritebackLockByVomo :one
SELECT id, vomo_user_id, external_user_id, state, values_sealed, stamps, revision, decision, attempts, letter_id
FROM writebacks WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id = sqlc.arg(vomo_user_id)::text FOR UPDATE;

-- name: WritebackLockByExternal :one
SELECT id, vomo_user_id, external_user_id, state, values_sealed, stamps, revision, decision, attempts, letter_id
FROM writebacks WHERE customer_id = sqlc.arg(customer_id) AND external_user_id = sqlc.arg(external_user_id)::text FOR UPDATE;

-- name: WritebackInsert :one
INSERT INTO writebacks (customer_id, vomo_user_id, external_user_id, state, values_sealed, stamps, requested_at, updated_at)
VALUES (sqlc.arg(customer_id), sqlc.narg(vomo_user_id), sqlc.narg(external_user_id), 'waiting', sqlc.arg(values_sealed), sqlc.arg(stamps),
        rollcall_now(), rollcall_now())
RETURNING id;

-- name: WritebackMerge :exec
-- Newer values make the row due, whatever became of the older ones.
UPDATE writebacks
SET state = 'waiting', values_sealed = sqlc.arg(values_sealed), stamps = sqlc.arg(stamps), revision = revision + 1, decision = NULL,
    attempts = 0, letter_id = NULL, updated_at = rollcall_now(),
    requested_at = CASE WHEN state = 'waiting' THEN requested_at ELSE rollcall_now() END
WHERE id = sqlc.arg(id);

-- name: WritebackCustomers :many
-- Active customers with rows to work, one step through the index for each. A hold ends when the customer becomes active
-- again, or gets new credentials.
WITH RECURSIVE waiting AS (
    (SELECT w.customer_id FROM writebacks w WHERE w.state = 'waiting' ORDER BY w.customer_id LIMIT 1)
    UNION ALL
    SELECT n.customer_id FROM waiting f
    CROSS JOIN LATERAL (SELECT w.customer_id FROM writebacks w WHERE w.state = 'waiting' AND w.customer_id > f.customer_id
                        ORDER BY w.customer_id LIMIT 1) n
)
SELECT f.customer_id FROM waiting f
CROSS JOIN LATERAL (SELECT s.active_since, s.onboarded_at FROM sync_configs s
    WHERE s.customer_id = f.customer_id AND s.enabled AND s.paused_at IS NULL AND s.offboarded_at IS NULL LIMIT 1) c
WHERE NOT EXISTS (
    SELECT FROM writeback_holds h WHERE h.customer_id = f.customer_id AND h.until > rollcall_now()
      AND h.noted_at >= greatest(c.active_since, c.onboarded_at, (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = f.customer_id))
    OFFSET 0);

-- name: WritebacksWaiting :many
SELECT id, vomo_user_id, external_user_id, state, values_sealed, stamps, revision, decision, attempts, letter_id
FROM writebacks WHERE customer_id = sqlc.arg(customer_id) AND state = 'waiting'
ORDER BY requested_at, id LIMIT sqlc.arg(at_most);

-- name: WritebackSettle :execrows
-- Ends the work on the row as it was read. A newer message has given it another revision.
UPDATE writebacks
SET state = sqlc.arg(state), outcome = nullif(sqlc.arg(outcome)::text, ''), refused = sqlc.arg(refused)::text[], letter_id = sqlc.narg(letter_id),
    attempts = sqlc.arg(attempts), decision = NULL, updated_at = rollcall_now(),
    values_sealed = CASE WHEN sqlc.arg(state)::text = 'done' THEN NULL ELSE values_sealed END
WHERE id = sqlc.arg(id) AND revision = sqlc.arg(revision) AND state = 'waiting';

-- name: WritebackSetUser :exec
-- Remembers which VOMO user the row is about, unless another row is about that user.
UPDATE writebacks w SET vomo_user_id = sqlc.arg(vomo_user_id)::text
WHERE w.id = sqlc.arg(id) AND w.vomo_user_id IS NULL
  AND NOT EXISTS (SELECT FROM writebacks o WHERE o.customer_id = w.customer_id AND o.vomo_user_id = sqlc.arg(vomo_user_id)::text);

-- name: WritebacksOfLetters :many
-- The letters of these that are about a row, with the row locked.
SELECT letter_id::uuid AS letter_id FROM writebacks WHERE letter_id = ANY(sqlc.arg(letter_ids)::uuid[]) ORDER BY id FOR UPDATE;

-- name: WritebacksRetry :exec
-- An operator asks for another attempt at what became a letter.
UPDATE writebacks SET state = 'waiting', letter_id = NULL, requested_at = rollcall_now(), updated_at = rollcall_now()
WHERE letter_id = ANY(sqlc.arg(letter_ids)::uuid[]);

-- name: WritebackLock :one
SELECT state FROM writebacks WHERE id = $1 FOR UPDATE;

-- name: WritebacksDrop :exec
-- The values are given up with their letters.
UPDATE writebacks SET state = 'done', outcome = 'discarded', values_sealed = NULL, letter_id = NULL, decision = NULL, updated_at = rollcall_now()
WHERE letter_id = ANY(sqlc.arg(letter_ids)::uuid[]);

-- name: WritebackDecide :execrows
-- An operator's decision makes the row due; 'dismiss' ends it.
UPDATE writebacks
SET state = CASE WHEN sqlc.arg(dismiss)::boolean THEN 'done' ELSE 'waiting' END,
    outcome = CASE WHEN sqlc.arg(dismiss)::boolean THEN 'dismissed' END,
    values_sealed = CASE WHEN sqlc.arg(dismiss)::boolean THEN NULL ELSE values_sealed END,
    decision = nullif(sqlc.arg(decision)::text, ''), requested_at = rollcall_now(), updated_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'review';

-- name: WritebackHold :exec
INSERT INTO writeback_holds (customer_id, reason, detail, holds, since, noted_at, until)
VALUES (sqlc.arg(customer_id), sqlc.arg(reason), nullif(sqlc.arg(detail)::text, ''), 1, rollcall_now(), rollcall_now(),
        rollcall_now() + sqlc.arg(delay)::interval)
ON CONFLICT (customer_id) DO UPDATE
SET reason = excluded.reason, detail = excluded.detail, holds = writeback_holds.holds + 1, noted_at = excluded.noted_at, until = excluded.until;

-- name: WritebackRelease :exec
DELETE FROM writeback_holds WHERE customer_id = $1;

-- name: WritebackHoldOf :one
SELECT reason, coalesce(detail, '')::text AS detail, holds, since, until FROM writeback_holds WHERE customer_id = $1;

-- name: WritebackCounts :one
-- What of a customer waits, and since when.
SELECT count(*) AS waiting, min(requested_at)::timestamptz AS since FROM writebacks
WHERE customer_id = sqlc.arg(customer_id) AND state = 'waiting' HAVING count(*) > 0;

-- name: WritebacksHeldFor :many
-- A hold whose rows have gone says nothing any more.
SELECT h.customer_id, h.reason, h.detail, h.since, h.until, h.holds FROM writeback_holds h
WHERE h.customer_id = ANY(sqlc.arg(customer_ids)::text[])
  AND EXISTS (SELECT FROM writebacks w WHERE w.customer_id = h.customer_id AND w.state = 'waiting');

-- name: MappingsOfExternal :many
-- Users that are this record at the destination: two, if they share it.
SELECT vomo_user_id FROM user_mappings
WHERE customer_id = sqlc.arg(customer_id) AND external_user_id = sqlc.arg(external_user_id) ORDER BY vomo_user_id LIMIT 2;

-- name: MappingExternalID :one
SELECT external_user_id FROM user_mappings WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id = sqlc.arg(vomo_user_id);

-- name: WritebacksForget :execrows
-- Deletes a batch of an offboarded customer's rows, and the hold.
WITH hold AS (DELETE FROM writeback_holds h WHERE h.customer_id = sqlc.arg(customer_id)::text)
DELETE FROM writebacks d WHERE d.id = ANY(ARRAY(
    SELECT w.id FROM writebacks w WHERE w.customer_id = sqlc.arg(customer_id)::text ORDER BY w.id LIMIT sqlc.arg(at_most)));
