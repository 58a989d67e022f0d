-- name: DrainInsert :one
-- One drain of a customer runs at a time, and one of all customers.
INSERT INTO dlq_drains (customer_id, verb, filter, note, as_of, planned, pace, state, asked_by, due_at, created_at)
VALUES (sqlc.narg(customer_id), sqlc.arg(verb), sqlc.arg(filter), sqlc.narg(note), sqlc.arg(as_of), sqlc.arg(planned), sqlc.narg(pace), 'running',
        sqlc.arg(asked_by), rollcall_now(), rollcall_now())
ON CONFLICT (coalesce(customer_id, '')) WHERE state = 'running' DO NOTHING
RETURNING id;

-- name: DrainGet :one
SELECT d.id, d.customer_id, d.verb, d.filter, d.note, d.as_of, d.planned, d.pace, d.state, d.asked_by, d.done_count, d.left_count, d.due_at,
       d.created_at, d.ended_at
FROM dlq_drains d WHERE d.id = $1;

-- name: DrainsPage :many
SELECT d.id, d.customer_id, d.verb, d.filter, d.note, d.as_of, d.planned, d.pace, d.state, d.asked_by, d.done_count, d.left_count, d.due_at,
       d.created_at, d.ended_at
FROM dlq_drains d WHERE d.id < sqlc.arg(before) ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: DrainsPageOfCustomer :many
SELECT d.id, d.customer_id, d.verb, d.filter, d.note, d.as_of, d.planned, d.pace, d.state, d.asked_by, d.done_count, d.left_count, d.due_at,
       d.created_at, d.ended_at
FROM dlq_drains d WHERE d.customer_id = sqlc.arg(customer_id)::text AND d.id < sqlc.arg(before) ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: DrainClaimDue :one
-- One process works a batch of a drain at a time. If it dies, another one may when the hold has passed.
UPDATE dlq_drains d SET claim = d.claim + 1, claimed_until = rollcall_now() + sqlc.arg(hold)::interval
WHERE d.id = (SELECT f.id FROM dlq_drains f
              WHERE f.due_at <= rollcall_now() AND (f.claimed_until IS NULL OR f.claimed_until <= rollcall_now())
              ORDER BY f.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING d.id, d.verb, d.filter, d.note, d.as_of, d.pace, d.position, d.claim;

-- name: DrainsNextDue :one
-- In how long a batch is due; a batch that a process works is due when its claim ends. An hour if no drain runs.
SELECT coalesce(min(greatest(d.due_at, d.claimed_until)) - rollcall_now(), '1 hour')::interval AS due_in FROM dlq_drains d WHERE d.due_at IS NOT NULL;

-- name: DrainHold :one
-- Locks a running drain for the process that has this claim.
SELECT d.id FROM dlq_drains d WHERE d.id = sqlc.arg(id) AND d.claim = sqlc.arg(claim) AND d.state = 'running' FOR UPDATE;

-- name: DrainItemsInsert :exec
-- The caller holds the drain. A letter that is in the ledger already fails the transaction: what it changes must not be done twice.
WITH added AS (
    INSERT INTO dlq_drain_items (drain_id, letter_id, customer_id, outcome, reason, detail, at)
    SELECT sqlc.arg(drain_id), i.letter_id, i.customer_id, CASE WHEN i.reason = '' THEN 'done' ELSE 'left' END, nullif(i.reason, ''), nullif(i.detail, ''),
           rollcall_now()
    FROM (SELECT unnest(sqlc.arg(letter_ids)::uuid[]) AS letter_id, unnest(sqlc.arg(customer_ids)::text[]) AS customer_id,
                 unnest(sqlc.arg(reasons)::text[]) AS reason, unnest(sqlc.arg(details)::text[]) AS detail) i
    RETURNING outcome)
UPDATE dlq_drains d
SET done_count = d.done_count + (SELECT count(*) FROM added a WHERE a.outcome = 'done'),
    left_count = d.left_count + (SELECT count(*) FROM added a WHERE a.outcome = 'left')
WHERE d.id = sqlc.arg(drain_id);

-- name: DrainItemsAmong :many
-- Those of these letters that are in the ledger. OFFSET 0 has each looked up by itself: Postgres would go through the whole ledger
-- otherwise, which grows with each batch.
SELECT i.letter_id
FROM (SELECT unnest(sqlc.arg(letter_ids)::uuid[]) AS id) v
CROSS JOIN LATERAL (
    SELECT d.letter_id FROM dlq_drain_items d WHERE d.drain_id = sqlc.arg(drain_id) AND d.letter_id = v.id LIMIT 1 OFFSET 0) i;

-- name: DrainAdvance :exec
-- The caller holds the drain. The next batch is due after the pause, and another process may work it.
UPDATE dlq_drains SET position = sqlc.arg(position), due_at = rollcall_now() + sqlc.arg(pause)::interval, claimed_until = NULL WHERE id = sqlc.arg(id);

-- name: DrainEnd :one
-- Ends a running drain. What was searched for may be a person's, so it is not kept for longer than needed.
UPDATE dlq_drains d
SET state = sqlc.arg(state)::text, ended_at = rollcall_now(), due_at = NULL, claimed_until = NULL,
    filter = CASE WHEN d.filter ? 'text' THEN jsonb_set(d.filter, '{text}', '"…"') ELSE d.filter END
WHERE d.id = sqlc.arg(id) AND d.state = 'running'
RETURNING d.id;

-- name: DrainItemsPage :many
SELECT i.letter_id, i.customer_id, i.outcome, i.reason, i.detail, i.nth, i.at FROM dlq_drain_items i
WHERE i.drain_id = sqlc.arg(drain_id) AND i.nth < sqlc.arg(before) AND (sqlc.arg(outcome)::text = '' OR i.outcome = sqlc.arg(outcome)::text)
ORDER BY i.nth DESC LIMIT sqlc.arg(at_most);

-- name: DrainItemsForget :execrows
-- Deletes a batch of the ledgers of drains that ended long ago. The drains go when their ledgers are empty.
DELETE FROM dlq_drain_items i WHERE i.ctid = ANY(ARRAY(
    SELECT o.row FROM (SELECT d.id FROM dlq_drains d WHERE d.ended_at < rollcall_now() - sqlc.arg(age)::interval ORDER BY d.ended_at LIMIT sqlc.arg(at_most)) e
    CROSS JOIN LATERAL (SELECT x.ctid AS row FROM dlq_drain_items x WHERE x.drain_id = e.id LIMIT sqlc.arg(at_most)) o LIMIT sqlc.arg(at_most)));

-- name: DrainsForget :execrows
DELETE FROM dlq_drains r WHERE r.id = ANY(ARRAY(
    SELECT d.id FROM dlq_drains d
    WHERE d.ended_at < rollcall_now() - sqlc.arg(age)::interval AND NOT EXISTS (SELECT FROM dlq_drain_items i WHERE i.drain_id = d.id OFFSET 0)
    ORDER BY d.ended_at LIMIT sqlc.arg(at_most)));

-- name: DrainsOffboard :exec
-- Aborts the customer's drain that is running.
UPDATE dlq_drains SET state = 'aborted', ended_at = rollcall_now(), due_at = NULL, claimed_until = NULL
WHERE coalesce(customer_id, '') = sqlc.arg(customer_id)::text AND state = 'running';

-- name: DrainItemsOffboard :execrows
-- Deletes a batch of the customer's rows, of drains of all customers, too.
DELETE FROM dlq_drain_items i WHERE i.ctid = ANY(ARRAY(
    SELECT o.ctid FROM dlq_drain_items o WHERE o.customer_id = sqlc.arg(customer_id) LIMIT sqlc.arg(at_most)));

-- name: DrainsOffboardEnded :execrows
-- The customer's drains, whose ledgers are empty by now.
DELETE FROM dlq_drains WHERE customer_id = sqlc.arg(customer_id)::text;
