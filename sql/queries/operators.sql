-- name: RunPauseIfOpen :one
-- A worker of the run: its next page finds it no longer running, and is not committed.
UPDATE backfill_runs SET state = 'paused', parks = 0, attempts = 0, updated_at = rollcall_now()
WHERE customer_id = $1 AND state IN ('queued', 'running', 'parked')
RETURNING *;

-- name: RunResumeIfPaused :one
UPDATE backfill_runs SET state = 'queued', due_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = $1 AND state = 'paused'
RETURNING *;

-- name: RunRewriteOwed :one
-- The bound of a rewrite that was not completed: what was synced before it may not stand in the
-- destination. No row where none is owed.
SELECT r.rewrite_before::timestamptz AS owed, r.new_system FROM (
    SELECT l.rewrite_before, l.new_system, l.state FROM backfill_runs l
    WHERE l.customer_id = $1 AND l.rewrite_before IS NOT NULL ORDER BY l.id DESC LIMIT 1) r
WHERE r.state <> 'completed';

-- name: RunSetRewrite :exec
UPDATE backfill_runs SET rewrite_before = sqlc.arg(rewrite_before), new_system = sqlc.arg(new_system) WHERE id = sqlc.arg(id);

-- name: RunsLatestFor :many
SELECT DISTINCT ON (customer_id) * FROM backfill_runs
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) ORDER BY customer_id, id DESC;

-- name: MappingCountsFor :many
SELECT customer_id, count(*) AS users FROM user_mappings
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) GROUP BY customer_id;

-- name: LettersOpenCountsFor :many
SELECT customer_id, count(*) AS letters FROM dead_letters
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) AND state <> 'settled' GROUP BY customer_id;

-- name: AlertsStandingFor :many
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
-- What an operator may change of a customer who is there; onboarding alone enables one. Polls of another cadence are to
-- be expected from now on: by a shorter one the last may lie far back.
UPDATE sync_configs
SET external_system_url = sqlc.arg(external_system_url), destination = sqlc.arg(destination),
    poll_cadence_minutes = sqlc.arg(poll_cadence_minutes), admin_email = sqlc.narg(admin_email),
    requests_per_second = sqlc.narg(requests_per_second), requests_per_minute = sqlc.narg(requests_per_minute),
    next_poll_at = CASE WHEN poll_cadence_minutes = sqlc.arg(poll_cadence_minutes) THEN next_poll_at
                        ELSE least(next_poll_at, next_poll_slot(customer_id, sqlc.arg(poll_cadence_minutes), rollcall_now())) END,
    active_since = CASE WHEN active_since IS NULL OR poll_cadence_minutes = sqlc.arg(poll_cadence_minutes) THEN active_since
                        ELSE rollcall_now() END,
    updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id);

-- name: CredentialNames :many
SELECT name FROM credentials WHERE customer_id = $1;
