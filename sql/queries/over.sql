-- name: AlertsInsertOver :exec
-- What happened to users, each at once over: it never stands.
INSERT INTO alerts (customer_id, type, severity, details, raised_at, cleared_at)
SELECT sqlc.arg(customer_id), sqlc.arg(type), sqlc.arg(severity),
       jsonb_build_object('vomoUserId', v.id, 'traceId', sqlc.arg(trace_id)::text), sqlc.arg(at)::timestamptz, sqlc.arg(at)::timestamptz
FROM (SELECT unnest(sqlc.arg(vomo_ids)::text[]) AS id) v;

-- name: AlertsForgetOver :execrows
-- The ids of a batch are collected first: each is then looked up, and the table is not read for them.
DELETE FROM alerts
WHERE id = ANY(ARRAY(
    SELECT a.id FROM alerts a WHERE a.cleared_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY a.cleared_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: LettersForgetSettled :execrows
-- Those whose message the stream has no more. A letter failed before it was settled: the oldest are looked at first. Those of an
-- offboarded customer's users open again on its return, and are deleted with its mapping.
DELETE FROM dead_letters
WHERE id = ANY(ARRAY(
    SELECT d.id FROM dead_letters d
    WHERE d.state = 'settled' AND d.first_failed_at < rollcall_now() - sqlc.arg(older_than)::interval
      AND d.settled_at < rollcall_now() - sqlc.arg(older_than)::interval AND d.published_revision IS NULL
      AND (d.settled_how IS DISTINCT FROM 'offboarded' OR d.kind <> 'user')
    ORDER BY d.first_failed_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: GapsForget :execrows
DELETE FROM reconciliation_gaps
WHERE ctid = ANY(ARRAY(
    SELECT g.ctid FROM reconciliation_gaps g WHERE g.noted_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY g.noted_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
