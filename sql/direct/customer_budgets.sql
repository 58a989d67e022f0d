-- name: Throttles :one
-- Throttles returns how many 429 answers in a row named no time.
SELECT throttles FROM customer_budgets WHERE customer_id = sqlc.arg(customer);

-- name: ForgetThrottles :exec
-- ForgetThrottles ends the doubling after another answer than 429.
UPDATE customer_budgets SET throttles = 0 WHERE customer_id = sqlc.arg(customer) AND throttles <> 0;
