-- name: ReviewOpen :one
-- A row has one open item: the one before was superseded by a statement before. In one statement, the new item would be inserted first.
INSERT INTO review_items (customer_id, kind, source_id, record_id, reason, details_sealed, decisions, state, created_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(kind), sqlc.arg(source_id), nullif(sqlc.arg(record_id)::text, ''), sqlc.arg(reason),
        sqlc.arg(details_sealed), sqlc.arg(decisions)::text[], 'open', rollcall_now())
RETURNING id;

-- name: ReviewSupersede :exec
-- What the item was about has changed.
UPDATE review_items SET state = 'superseded', settled_at = rollcall_now(), details_sealed = NULL
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND source_id = sqlc.arg(source_id) AND state = 'open';

-- name: ReviewsSupersedeOfRecord :exec
-- As ReviewSupersede, by the record that the items are about.
UPDATE review_items SET state = 'superseded', settled_at = rollcall_now(), details_sealed = NULL
WHERE customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind) AND record_id = sqlc.arg(record_id)::text AND state = 'open';

-- name: ReviewsSupersedeOfKinds :execrows
-- A batch of a customer's items of these kinds: what they are about is forgotten.
UPDATE review_items SET state = 'superseded', settled_at = rollcall_now(), details_sealed = NULL
WHERE id = ANY(ARRAY(
    SELECT r.id FROM review_items r WHERE r.customer_id = sqlc.arg(customer_id) AND r.kind = ANY(sqlc.arg(kinds)::text[]) AND r.state = 'open'
    ORDER BY r.id LIMIT sqlc.arg(at_most)));

-- name: ReviewsOpen :many
-- The open items, oldest first.
SELECT id, customer_id, kind, source_id, coalesce(record_id, '')::text AS record_id, reason, decisions, state, coalesce(decision, '')::text AS decision,
       created_at, settled_at
FROM review_items
WHERE state = 'open' AND id > sqlc.arg(after) AND (sqlc.narg(customer_id)::text IS NULL OR customer_id = sqlc.narg(customer_id)::text)
  AND (sqlc.narg(kind)::text IS NULL OR kind = sqlc.narg(kind)::text)
ORDER BY id LIMIT sqlc.arg(at_most);

-- name: ReviewsAll :many
-- A customer's items in every state, oldest first.
SELECT id, customer_id, kind, source_id, coalesce(record_id, '')::text AS record_id, reason, decisions, state, coalesce(decision, '')::text AS decision,
       created_at, settled_at
FROM review_items
WHERE customer_id = sqlc.arg(customer_id) AND id > sqlc.arg(after) AND (sqlc.narg(kind)::text IS NULL OR kind = sqlc.narg(kind)::text)
ORDER BY id LIMIT sqlc.arg(at_most);

-- name: ReviewGet :one
SELECT id, customer_id, kind, source_id, coalesce(record_id, '')::text AS record_id, reason, decisions, state, coalesce(decision, '')::text AS decision,
       created_at, settled_at, details_sealed
FROM review_items WHERE id = sqlc.arg(id) AND customer_id = sqlc.arg(customer_id);

-- name: ReviewDecide :one
-- The decision of an open item; no row if it is settled, or if the decision is not allowed.
UPDATE review_items SET state = 'decided', decision = sqlc.arg(decision)::text, settled_at = rollcall_now(), details_sealed = NULL
WHERE id = sqlc.arg(id) AND customer_id = sqlc.arg(customer_id) AND state = 'open' AND sqlc.arg(decision)::text = ANY(decisions)
RETURNING kind, source_id;

-- name: ReviewsOpenCount :one
SELECT count(*) FROM review_items WHERE state = 'open' AND customer_id = sqlc.arg(customer_id) AND kind = sqlc.arg(kind);

-- name: ReviewsForget :execrows
DELETE FROM review_items d WHERE d.id = ANY(ARRAY(
    SELECT r.id FROM review_items r WHERE r.state <> 'open' AND r.settled_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY r.settled_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: ReviewsForgetOf :execrows
-- Deletes a batch of an offboarded customer's items.
DELETE FROM review_items d WHERE d.id = ANY(ARRAY(
    SELECT r.id FROM review_items r WHERE r.customer_id = sqlc.arg(customer_id) ORDER BY r.id LIMIT sqlc.arg(at_most)));
