-- name: OffboardingCounts :one
-- OffboardingCounts counts what an offboarding of the customer deletes from the database.
SELECT m.mappings, m.addresses,
       (SELECT count(*) FROM all_runs r WHERE r.customer_id = sqlc.arg(customer) AND r.state IN ('queued', 'running', 'parked', 'paused')) AS open_runs,
       (SELECT count(*) FROM dead_letters l WHERE l.customer_id = sqlc.arg(customer) AND l.state <> 'settled') AS open_letters,
       (SELECT count(*) FROM dead_letters l WHERE l.customer_id = sqlc.arg(customer) AND l.state = 'settled') AS settled_letters,
       (SELECT count(*) FROM alerts a WHERE a.customer_id = sqlc.arg(customer) AND a.cleared_at IS NULL) AS active_alerts,
       (SELECT count(*) FROM outbox o WHERE split_part(o.subject, '.', -1) = sqlc.arg(customer)::text) AS unpublished,
       EXISTS (SELECT FROM customer_keys k WHERE k.customer_id = sqlc.arg(customer)) AS has_key
FROM (SELECT count(*) AS mappings, count(u.last_known_email) AS addresses FROM user_mappings u WHERE u.customer_id = sqlc.arg(customer)) m;
