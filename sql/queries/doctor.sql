-- name: ServerReadOnly :one
-- Whether a transaction can write: it cannot on a standby, nor if sessions are read-only by default.
SELECT current_setting('transaction_read_only')::boolean AS read_only;

-- name: ServerFacts :one
SELECT current_setting('server_version_num')::int AS version, current_setting('max_connections')::int AS max_connections,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL)::int AS connections,
       clock_timestamp()::timestamptz AS clock;

-- name: Backlog :one
-- What should move and may not: messages unpublished, runs that are due and that no worker has, requests pending.
SELECT (SELECT count(*) FROM outbox) AS outbox,
       (SELECT coalesce(extract(epoch FROM rollcall_now() - min(created_at)), 0) FROM outbox)::double precision AS outbox_seconds,
       count(*) AS runs,
       coalesce(extract(epoch FROM rollcall_now() - min(r.due_at)), 0)::double precision AS runs_seconds,
       (SELECT count(*) FROM onboarding_requests WHERE state = 'pending') AS requests,
       (SELECT coalesce(extract(epoch FROM rollcall_now() - min(received_at)), 0)
        FROM onboarding_requests WHERE state = 'pending')::double precision AS requests_seconds
FROM backfill_runs r JOIN sync_configs c ON c.customer_id = r.customer_id AND c.enabled
WHERE r.state IN ('queued', 'running', 'parked') AND r.due_at <= rollcall_now()
  AND NOT EXISTS (SELECT 1 FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now());
