-- name: AlertsInsertOver :exec
-- What happened to users, each at once over: it never stands.
INSERT INTO alerts (customer_id, type, severity, details, raised_at, cleared_at)
SELECT sqlc.arg(customer_id), sqlc.arg(type), sqlc.arg(severity),
       jsonb_build_object('vomoUserId', v.id, 'traceId', sqlc.arg(trace_id)::text), sqlc.arg(at)::timestamptz, sqlc.arg(at)::timestamptz
FROM (SELECT unnest(sqlc.arg(vomo_ids)::text[]) AS id) v;

-- name: AlertsForgetOver :execrows
DELETE FROM alerts
WHERE id IN (
    SELECT a.id FROM alerts a WHERE a.cleared_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY a.cleared_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED);
