-- name: ServerReadOnly :one
-- Whether a transaction can write: it cannot on a standby, nor if sessions are read-only by default.
SELECT current_setting('transaction_read_only')::boolean AS read_only;

-- name: Backlog :one
-- What should move on and may be stuck: unpublished messages, due runs that no worker has, pending requests.
SELECT (SELECT count(*) FROM outbox) AS outbox,
       (SELECT coalesce(extract(epoch FROM rollcall_now() - min(created_at)), 0) FROM outbox)::double precision AS outbox_seconds,
       count(*) AS runs,
       coalesce(extract(epoch FROM rollcall_now() - min(r.due_at)), 0)::double precision AS runs_seconds,
       (SELECT count(*) FROM onboarding_requests WHERE state = 'pending') AS requests,
       (SELECT coalesce(extract(epoch FROM rollcall_now() - min(received_at)), 0)
        FROM onboarding_requests WHERE state = 'pending')::double precision AS requests_seconds
FROM all_runs r JOIN sync_configs c ON c.customer_id = r.customer_id AND c.enabled
WHERE r.kind = 'backfill' AND r.state IN ('queued', 'running', 'parked') AND r.due_at <= rollcall_now()
  AND NOT EXISTS (SELECT 1 FROM customer_leases l WHERE l.customer_id = r.customer_id AND l.expires_at > rollcall_now());
