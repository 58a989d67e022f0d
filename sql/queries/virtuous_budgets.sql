-- name: VirtuousBudgetTake :one
-- As BudgetTake, with a burst: time in which nothing was sent is made up for, up to the burst.
UPDATE virtuous_budgets
SET next_at = greatest(next_at, rollcall_now() - sqlc.arg(burst)::interval) + sqlc.arg(step)::interval,
    taken_at = rollcall_now(),
    spent = jsonb_set(spent, ARRAY[sqlc.arg(job)::text],
                      to_jsonb(coalesce((spent ->> sqlc.arg(job)::text)::bigint, 0) + 1)),
    spent_today = CASE WHEN spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date
                       THEN jsonb_set(spent_today, ARRAY[sqlc.arg(job)::text],
                                      to_jsonb(coalesce((spent_today ->> sqlc.arg(job)::text)::bigint, 0) + 1))
                       ELSE jsonb_build_object(sqlc.arg(job)::text, 1) END,
    spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date
WHERE customer_id = sqlc.arg(customer_id) AND next_at <= rollcall_now() + sqlc.arg(patience)::interval
RETURNING (extract(epoch FROM (next_at - sqlc.arg(step)::interval - rollcall_now())))::double precision AS wait_seconds;

-- name: VirtuousBudgetInsertIfAbsent :exec
INSERT INTO virtuous_budgets (customer_id, next_at) VALUES ($1, rollcall_now()) ON CONFLICT (customer_id) DO NOTHING;

-- name: VirtuousBudgetWaitSeconds :one
SELECT (extract(epoch FROM (next_at - rollcall_now())))::double precision AS wait_seconds
FROM virtuous_budgets WHERE customer_id = $1;

-- name: VirtuousBudgetThrottle :one
-- Holds all processes back after a 429 answer. throttles counts the answers that named no time, for the doubling.
UPDATE virtuous_budgets
SET next_at = greatest(next_at, rollcall_now() + sqlc.arg(hold)::interval),
    throttles = sqlc.arg(throttles)
WHERE customer_id = sqlc.arg(customer_id)
RETURNING throttles;

-- name: VirtuousBudgetSpent :one
SELECT spent, CASE WHEN spent_day = (rollcall_now() AT TIME ZONE 'UTC')::date THEN spent_today ELSE '{}' END::jsonb AS today FROM virtuous_budgets WHERE customer_id = $1;

-- name: VirtuousThrottles :one
SELECT throttles FROM virtuous_budgets WHERE customer_id = $1;

-- name: VirtuousForgetThrottles :exec
UPDATE virtuous_budgets SET throttles = 0 WHERE customer_id = $1 AND throttles <> 0;

-- name: VirtuousBudgetNote :exec
-- What the answers so far have said of the limit of all integrations together. 0 and -1 mean that it is not known.
-- Two processes may note answers before the same reset at once: the one that left less counts, also if the other is later.
INSERT INTO virtuous_budgets (customer_id, next_at, hour_limit, remaining, reset_at, seen_at)
VALUES (sqlc.arg(customer_id), rollcall_now(), sqlc.arg(hour_limit)::integer, sqlc.arg(remaining)::integer, sqlc.narg(reset_at), rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET
    hour_limit = excluded.hour_limit,
    remaining = CASE WHEN virtuous_budgets.remaining >= 0 AND excluded.remaining >= 0
                      AND excluded.reset_at BETWEEN virtuous_budgets.reset_at - interval '5 seconds' AND virtuous_budgets.reset_at + interval '5 seconds'
                     THEN least(virtuous_budgets.remaining, excluded.remaining) ELSE excluded.remaining END,
    reset_at = excluded.reset_at, seen_at = excluded.seen_at;

-- name: VirtuousBudgetSeen :one
SELECT coalesce(hour_limit, 0)::integer AS hour_limit, coalesce(remaining, -1)::integer AS remaining, reset_at FROM virtuous_budgets WHERE customer_id = $1;
