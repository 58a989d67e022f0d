-- name: DailyCountNote :exec
-- Counts once a night and customer: it reads an index entry for each user. A second reconciliation of the day counts again.
INSERT INTO customer_daily_counts (customer_id, day, mirrored)
SELECT sqlc.arg(customer_id), (rollcall_now() AT TIME ZONE 'UTC')::date,
       (SELECT count(*) FROM user_mappings m WHERE m.customer_id = sqlc.arg(customer_id))
ON CONFLICT (customer_id, day) DO UPDATE SET mirrored = excluded.mirrored;

-- name: DailyCounts :many
SELECT day, mirrored FROM customer_daily_counts
WHERE customer_id = sqlc.arg(customer_id) AND day > (rollcall_now() AT TIME ZONE 'UTC')::date - sqlc.arg(days)::integer
ORDER BY day;

-- name: DailyCountsForget :execrows
DELETE FROM customer_daily_counts
WHERE ctid = ANY(ARRAY(
    SELECT c.ctid FROM customer_daily_counts c WHERE c.day < ((rollcall_now() - sqlc.arg(older_than)::interval) AT TIME ZONE 'UTC')::date
    ORDER BY c.day LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
