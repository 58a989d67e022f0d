-- name: BudgetTake :one
-- Takes grants for requests that follow one another. The caller may send the first at the old next_at, or now, and each other one an
-- interval later; the row moves on by as many intervals. If the first moment is further away than the caller's patience, the
-- statement returns no row and spends nothing.
UPDATE customer_budgets
SET next_at = greatest(next_at, rollcall_now()) + sqlc.arg(requests)::bigint * sqlc.arg(step)::interval,
    spent = jsonb_set(spent, ARRAY[sqlc.arg(job)::text],
                      to_jsonb(coalesce((spent ->> sqlc.arg(job)::text)::bigint, 0) + sqlc.arg(requests)::bigint)),
    spent_today = CASE WHEN spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date
                       THEN jsonb_set(spent_today, ARRAY[sqlc.arg(job)::text],
                                      to_jsonb(coalesce((spent_today ->> sqlc.arg(job)::text)::bigint, 0) + sqlc.arg(requests)::bigint))
                       ELSE jsonb_build_object(sqlc.arg(job)::text, sqlc.arg(requests)::bigint) END,
    spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date
WHERE customer_id = sqlc.arg(customer_id) AND next_at <= rollcall_now() + sqlc.arg(patience)::interval
RETURNING (extract(epoch FROM (next_at - sqlc.arg(requests)::bigint * sqlc.arg(step)::interval - rollcall_now())))::double precision AS wait_seconds;

-- name: BudgetInsertIfAbsent :exec
INSERT INTO customer_budgets (customer_id, next_at) VALUES ($1, rollcall_now()) ON CONFLICT (customer_id) DO NOTHING;

-- name: BudgetTakeWithLane :one
-- BudgetTake for the holder who takes the lane in the same transaction; no row if it does not get the lane.
INSERT INTO customer_budgets AS b (customer_id, next_at, spent, spent_today, spent_day)
SELECT l.customer_id, rollcall_now() + sqlc.arg(step)::interval, jsonb_build_object(sqlc.arg(job)::text, 1),
       jsonb_build_object(sqlc.arg(job)::text, 1), (rollcall_now() AT TIME ZONE 'UTC')::date
FROM customer_leases l WHERE l.customer_id = sqlc.arg(customer_id) AND l.holder = sqlc.arg(holder)
ON CONFLICT (customer_id) DO UPDATE
SET next_at = greatest(b.next_at, rollcall_now()) + sqlc.arg(step)::interval,
    spent = jsonb_set(b.spent, ARRAY[sqlc.arg(job)::text],
                      to_jsonb(coalesce((b.spent ->> sqlc.arg(job)::text)::bigint, 0) + 1)),
    spent_today = CASE WHEN b.spent_day = excluded.spent_day
                       THEN jsonb_set(b.spent_today, ARRAY[sqlc.arg(job)::text],
                                      to_jsonb(coalesce((b.spent_today ->> sqlc.arg(job)::text)::bigint, 0) + 1))
                       ELSE excluded.spent_today END,
    spent_day = excluded.spent_day
WHERE b.next_at <= rollcall_now() + sqlc.arg(patience)::interval
RETURNING (extract(epoch FROM (b.next_at - sqlc.arg(step)::interval - rollcall_now())))::double precision AS wait_seconds;

-- name: BudgetWaitSeconds :one
SELECT (extract(epoch FROM (next_at - rollcall_now())))::double precision AS wait_seconds
FROM customer_budgets WHERE customer_id = $1;

-- name: BudgetThrottle :one
-- Holds all processes back after a 429 answer. throttles counts the answers that named no time, for the doubling.
UPDATE customer_budgets
SET next_at = greatest(next_at, rollcall_now() + sqlc.arg(hold)::interval),
    throttles = sqlc.arg(throttles)
WHERE customer_id = sqlc.arg(customer_id)
RETURNING throttles;

-- name: BudgetSpent :one
SELECT spent, CASE WHEN spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date THEN spent_today ELSE '{}' END::jsonb AS today FROM customer_budgets WHERE customer_id = $1;
