-- name: MappingCountsFor :many
SELECT customer_id, count(*) AS users FROM user_mappings
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) GROUP BY customer_id;

-- name: LettersOpenCountsFor :many
SELECT customer_id, count(*) AS letters FROM dead_letters
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND state <> 'settled' GROUP BY customer_id;

-- name: AlertsActiveFor :many
SELECT customer_id, type FROM alerts
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND cleared_at IS NULL ORDER BY customer_id, raised_at, type;

-- name: MappingsSyncedBefore :many
-- One by one, as MappingVersions.
SELECT m.vomo_user_id
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id AND u.last_synced_at < sqlc.arg(before) LIMIT 1) m;

-- name: SyncConfigChange :execrows
-- What an operator may change of an onboarded customer; only onboarding enables a customer. Polls are expected at a new cadence from
-- now on: with a shorter one, the last poll may be too long ago.
UPDATE sync_configs
SET external_system_url = sqlc.arg(external_system_url), destination = sqlc.arg(destination),
    poll_cadence_minutes = sqlc.arg(poll_cadence_minutes), admin_email = sqlc.narg(admin_email),
    requests_per_second = sqlc.narg(requests_per_second), requests_per_minute = sqlc.narg(requests_per_minute),
    write_back = sqlc.narg(write_back),
    participations = sqlc.arg(participations),
    next_poll_at = CASE WHEN poll_cadence_minutes = sqlc.arg(poll_cadence_minutes) THEN next_poll_at
                        ELSE least(next_poll_at, next_poll_slot(customer_id, sqlc.arg(poll_cadence_minutes), rollcall_now())) END,
    active_since = CASE WHEN active_since IS NULL OR poll_cadence_minutes = sqlc.arg(poll_cadence_minutes) THEN active_since
                        ELSE rollcall_now() END,
    updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id);
