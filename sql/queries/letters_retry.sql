-- name: LettersDueCustomers :many
-- Who has letters to retry: one step through the index for each customer with a waiting letter, however many letters
-- each of them has. A customer whose letters a drain is making due, without a pace, waits until it has: one by one they cost more than
-- together. That takes seconds; a drain that has a batch put off, or takes longer, is not waited for.
WITH RECURSIVE first_of AS (
    (SELECT d.customer_id, d.next_attempt_at FROM dead_letters d
     WHERE d.state = 'waiting' ORDER BY d.customer_id, d.next_attempt_at LIMIT 1)
    UNION ALL
    SELECT n.customer_id, n.next_attempt_at FROM first_of f
    CROSS JOIN LATERAL (
        SELECT d.customer_id, d.next_attempt_at FROM dead_letters d
        WHERE d.state = 'waiting' AND d.customer_id > f.customer_id
        ORDER BY d.customer_id, d.next_attempt_at LIMIT 1) n
)
SELECT f.customer_id, greatest(c.active_since, (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = f.customer_id),
                               c.onboarded_at)::timestamptz AS renewed_at
FROM first_of f
JOIN sync_configs c ON c.customer_id = f.customer_id AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
WHERE f.next_attempt_at <= rollcall_now()
  AND NOT EXISTS (SELECT FROM dlq_drains d WHERE coalesce(d.customer_id, '') = f.customer_id AND d.state = 'running' AND d.verb = 'retry'
                  AND d.pace IS NULL AND d.planned > sqlc.arg(many)::bigint AND d.due_at <= rollcall_now()
                  AND d.created_at > rollcall_now() - sqlc.arg(longest)::interval OFFSET 0)
ORDER BY f.next_attempt_at;

-- name: CustomersIdleWithAlert :many
-- Customers of which one of these alerts is active and no run is parked for it, which would find out by itself. The alerts lead: few
-- stand, whatever the number of customers. OFFSET 0 has each of them looked up by itself.
WITH alerted AS MATERIALIZED (
    SELECT DISTINCT customer_id FROM alerts WHERE cleared_at IS NULL AND type = ANY(sqlc.arg(types)::text[])
)
SELECT a.customer_id, greatest(c.active_since, (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = a.customer_id),
                               c.onboarded_at)::timestamptz AS renewed_at
FROM alerted a
CROSS JOIN LATERAL (SELECT s.active_since, s.onboarded_at FROM sync_configs s
    WHERE s.customer_id = a.customer_id AND s.enabled AND s.paused_at IS NULL AND s.offboarded_at IS NULL LIMIT 1) c
WHERE NOT EXISTS (SELECT FROM all_runs r WHERE r.customer_id = a.customer_id AND r.state IN ('queued', 'running', 'parked')
                  AND r.park_reason = ANY(sqlc.arg(types)::text[]) OFFSET 0)
  AND NOT EXISTS (SELECT FROM customer_leases l WHERE l.customer_id = a.customer_id AND l.expires_at > rollcall_now() OFFSET 0) -- a holder yields to jobs, not to a probe
ORDER BY a.customer_id;

-- name: LettersDue :many
SELECT id, kind, record_id, source_updated_at, version_hash, error_code, error_class, last_failed_at, attempts, next_attempt_at FROM dead_letters
WHERE customer_id = sqlc.arg(customer_id) AND state = 'waiting' AND next_attempt_at <= rollcall_now()
ORDER BY next_attempt_at LIMIT sqlc.arg(at_most);

-- name: LettersDueCount :one
-- How many letters are due, counted up to a number, the database's time, and whether a drain has just made all of the customer's due.
SELECT count(*) AS letters, rollcall_now()::timestamptz AS now,
       EXISTS (SELECT FROM dlq_drains r WHERE r.customer_id = sqlc.arg(customer_id)::text AND r.verb = 'retry'
               AND r.ended_at > rollcall_now() - sqlc.arg(lately)::interval) AS drained
FROM (SELECT FROM dead_letters d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.state = 'waiting' AND d.next_attempt_at <= rollcall_now() LIMIT sqlc.arg(at_most)) l;

-- name: LettersDueOf :many
-- The due letters of these records. One by one, as the open ones of a page are: OFFSET 0 keeps Postgres from going through all
-- waiting letters for each of them.
SELECT l.id, l.record_id, l.source_updated_at
FROM (SELECT unnest(sqlc.arg(record_ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT d.id, d.record_id, d.source_updated_at, d.state, d.next_attempt_at FROM dead_letters d
    WHERE d.customer_id = sqlc.arg(customer_id) AND d.kind = sqlc.arg(kind) AND d.state <> 'settled' AND d.record_id = v.id
    LIMIT 1 OFFSET 0) l
WHERE l.state = 'waiting' AND l.next_attempt_at <= rollcall_now();

-- name: LettersAskIfOpen :execrows
-- Locked in the order of their ids first, so that two who ask for the same letters don't wait for one another.
WITH locked AS (
    SELECT id FROM dead_letters WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND kind IN ('user', 'user_delete') AND state <> 'settled' ORDER BY id FOR UPDATE
)
UPDATE dead_letters d
SET state = 'waiting', next_attempt_at = rollcall_now(), asked_at = rollcall_now(), revision = d.revision + 1
FROM locked l WHERE d.id = l.id;

-- name: LettersAskHeld :exec
-- As LettersAskIfOpen, of letters that the transaction has locked: to lock them once more takes as long as the update.
UPDATE dead_letters
SET state = 'waiting', next_attempt_at = rollcall_now(), asked_at = rollcall_now(), revision = revision + 1
WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND kind IN ('user', 'user_delete') AND state <> 'settled';

-- name: LetterLock :one
SELECT id, customer_id, kind, record_id, state, payload_sealed, headers_sealed, original_subject, trace_id, attempts, revision
FROM dead_letters WHERE id = $1 FOR UPDATE;

-- name: LetterSettleIfOpen :execrows
UPDATE dead_letters
SET state = 'settled', settled_at = rollcall_now(), settled_how = sqlc.arg(how)::text, next_attempt_at = NULL, asked_at = NULL
WHERE id = sqlc.arg(id) AND state <> 'settled';

-- name: AuditInsertLetter :exec
INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, trace_id, succeeded, processed_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(resource_type), sqlc.arg(record_id), sqlc.arg(operation), sqlc.narg(trace_id), true, rollcall_now());

-- name: LettersOpenByState :many
SELECT state, count(*) FROM dead_letters WHERE state <> 'settled' GROUP BY state;

-- name: MappingsWithoutLetter :many
-- Some of the customer's users behind that one who stand in the destination and have no open letter. OFFSET 0 has each
-- looked up by itself: as a join, each is compared with all letters, and where thousands have one that takes a minute.
SELECT m.vomo_user_id FROM user_mappings m
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id > sqlc.arg(after)
  AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.customer_id = m.customer_id AND d.kind = 'user' AND d.state <> 'settled'
                  AND d.record_id = m.vomo_user_id OFFSET 0)
ORDER BY m.vomo_user_id LIMIT sqlc.arg(at_most);

-- name: LettersHold :exec
-- Why and until when a customer's letters are left alone; the first hold in a row says since when.
INSERT INTO letter_holds (customer_id, reason, detail, since, until)
VALUES (sqlc.arg(customer_id), sqlc.arg(reason), nullif(sqlc.arg(detail)::text, ''), rollcall_now(), rollcall_now() + sqlc.arg(delay)::interval)
ON CONFLICT (customer_id) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, until = excluded.until;

-- name: LettersRelease :exec
DELETE FROM letter_holds WHERE customer_id = $1;

-- name: LettersHeldFor :many
-- A hold whose end passed a while ago belongs to a process that has gone.
SELECT h.customer_id, h.reason, h.detail, h.since, h.until FROM letter_holds h
WHERE h.customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND h.until > rollcall_now() - interval '2 minutes'
  AND EXISTS (SELECT FROM dead_letters d WHERE d.customer_id = h.customer_id AND d.state <> 'settled');

-- name: LetterNthOpen :one
-- Since when a customer has had that many open letters.
SELECT first_failed_at FROM dead_letters WHERE customer_id = sqlc.arg(customer_id) AND state <> 'settled'
ORDER BY first_failed_at OFFSET sqlc.arg(before)::integer LIMIT 1;
