-- name: Customer :one
SELECT customer_id AS id, external_system_url, destination, poll_cadence_minutes, admin_email, requests_per_second,
       requests_per_minute, backfill_not_before, quiet_hours, enabled, onboarded_at, offboarded_at, backfill_completed_at,
       backfill_processed_count, paused_at, coalesce(disabled_reason, '')::text AS disabled_reason, active_since, last_polled_at,
       poll_page_at, caught_up_at, next_poll_at, next_reconcile_at,
       make_interval(mins => coalesce(stamp_lag_minutes, 0))::interval AS stamp_lag, stamp_lag_since, write_back, participations,
       participations_cycle_seconds AS participations_cycle
FROM sync_configs WHERE customer_id = sqlc.arg(id);

-- name: Customers :many
SELECT customer_id AS id, external_system_url, destination, poll_cadence_minutes, admin_email, requests_per_second,
       requests_per_minute, backfill_not_before, quiet_hours, enabled, onboarded_at, offboarded_at, backfill_completed_at,
       backfill_processed_count, paused_at, coalesce(disabled_reason, '')::text AS disabled_reason, active_since, last_polled_at,
       poll_page_at, caught_up_at, next_poll_at, next_reconcile_at,
       make_interval(mins => coalesce(stamp_lag_minutes, 0))::interval AS stamp_lag, stamp_lag_since, write_back, participations,
       participations_cycle_seconds AS participations_cycle
FROM sync_configs WHERE customer_id > sqlc.arg(after) ORDER BY customer_id LIMIT sqlc.arg(at_most);

-- name: Credential :one
-- Credential returns a sealed credential; ErrNotFound if there is none.
SELECT sealed FROM credentials WHERE customer_id = sqlc.arg(customer) AND name = sqlc.arg(name);

-- name: CredentialNames :many
-- CredentialNames returns which credentials the customer has.
SELECT name FROM credentials WHERE customer_id = sqlc.arg(customer);

-- name: Checkpoint :one
-- Checkpoint returns the checkpoint; ErrNotFound if the customer has none.
SELECT checkpoint FROM sync_checkpoints WHERE customer_id = sqlc.arg(customer) AND resource = sqlc.arg(resource);

-- name: LaneClosingUntil :one
-- LaneClosingUntil returns when a fenced lane is free at the latest; ErrNotFound if it is not closing.
SELECT expires_at FROM customer_leases
WHERE customer_id = sqlc.arg(customer) AND fenced_epoch = epoch AND expires_at > rollcall_now();

-- name: CountMappings :one
-- CountMappings returns how many of the customer's users the destination has, archived ones included.
SELECT ((SELECT count(*) FROM user_mappings m WHERE m.customer_id = sqlc.arg(customer))
      + (SELECT coalesce(sum(a.users), 0) FROM mapping_archives a WHERE a.customer_id = sqlc.arg(customer)))::bigint AS users;

-- name: CustomerStamps :many
-- CustomerStamps returns a text for each of these customers that changes when its settings, polls, runs, alerts or letters do. It costs a few
-- index lookups for each.
SELECT c.customer_id AS customer, concat_ws('|', c.updated_at, c.paused_at, c.last_polled_at, c.next_poll_at, c.caught_up_at, c.poll_page_at,
       c.backfill_completed_at,
       (SELECT max(r.updated_at) FROM runs r WHERE r.customer_id = c.customer_id AND r.state IN ('queued', 'running', 'parked', 'paused')),
       (SELECT max(b.updated_at) FROM backfill_runs b WHERE b.customer_id = c.customer_id AND b.state IN ('queued', 'running', 'parked', 'paused')),
       (SELECT string_agg(a.id::text, ',') FROM alerts a WHERE a.customer_id = c.customer_id AND a.cleared_at IS NULL),
       (SELECT count(*) || ',' || max(l.last_failed_at) FROM dead_letters l WHERE l.customer_id = c.customer_id AND l.state <> 'settled'))::text AS stamp
FROM sync_configs c WHERE c.customer_id = ANY(sqlc.arg(customers)::text[]);
