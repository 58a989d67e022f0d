-- name: AlertArrivalsLock :exec
SELECT pg_advisory_xact_lock(hashtextextended('rollcall.alert_arrivals.' || sqlc.arg(type)::text, 0));

-- name: AlertArrivalInsertIfNew :one
-- The end of an alert whose beginning waits for a summary waits, too.
INSERT INTO alert_arrivals (message_id, type, cleared, customer_id, payload, arrived_at, gathered)
VALUES (sqlc.arg(message_id), sqlc.arg(type), sqlc.arg(cleared), sqlc.arg(customer_id), sqlc.arg(payload), rollcall_now(),
        (SELECT count(*) FROM (SELECT FROM alert_arrivals r
                               WHERE r.type = sqlc.arg(type) AND r.cleared = sqlc.arg(cleared)
                                 AND r.arrived_at > rollcall_now() - sqlc.arg(recent)::interval
                               LIMIT sqlc.arg(at_once)) counted) >= sqlc.arg(at_once)
        OR EXISTS (SELECT FROM alert_arrivals b
                   WHERE b.message_id = sqlc.arg(raised_id) AND b.gathered AND b.summed_at IS NULL))
ON CONFLICT (message_id) DO NOTHING
RETURNING gathered;

-- name: AlertArrivalGathered :one
SELECT gathered FROM alert_arrivals WHERE message_id = $1;

-- name: AlertSummariesLock :exec
SELECT pg_advisory_xact_lock(hashtext('rollcall.alert_summaries'));

-- name: AlertSummariesAssign :exec
-- Names a summary for all that wait of one type, once no more came for a while or the first has waited for long. If the
-- ends of a type are due, so are its beginnings.
UPDATE alert_arrivals a
SET summary_id = 'summary-' || g.first || CASE WHEN a.cleared THEN '-cleared' ELSE '' END
FROM (SELECT w.type, w.cleared, min(w.id) AS first,
             bool_or(max(w.arrived_at) <= rollcall_now() - sqlc.arg(quiet)::interval
                     OR min(w.arrived_at) <= rollcall_now() - sqlc.arg(longest)::interval)
                 OVER (PARTITION BY w.type ORDER BY w.cleared DESC) AS due
      FROM alert_arrivals w
      WHERE w.gathered AND w.summed_at IS NULL AND w.summary_id IS NULL
      GROUP BY w.type, w.cleared) g
WHERE g.due AND a.type = g.type AND a.cleared = g.cleared AND a.gathered AND a.summed_at IS NULL AND a.summary_id IS NULL;

-- name: AlertSummariesClaim :many
WITH claimed AS (
    UPDATE alert_arrivals SET claimed_at = rollcall_now()
    WHERE gathered AND summed_at IS NULL AND summary_id IS NOT NULL
      AND (claimed_at IS NULL OR claimed_at <= rollcall_now() - sqlc.arg(again)::interval)
    RETURNING summary_id, type, cleared, customer_id, id, arrived_at)
SELECT c.summary_id::text AS summary_id, c.type, c.cleared, count(*)::integer AS alerts, count(DISTINCT c.customer_id)::integer AS customers,
       min(c.arrived_at)::timestamptz AS first_at, max(c.arrived_at)::timestamptz AS last_at
FROM claimed c GROUP BY c.summary_id, c.type, c.cleared ORDER BY c.cleared, min(c.id);

-- name: AlertSummaryExamples :many
SELECT payload FROM alert_arrivals WHERE summary_id = $1 ORDER BY id LIMIT sqlc.arg(at_most);

-- name: AlertSummaryRelease :exec
UPDATE alert_arrivals SET claimed_at = NULL WHERE summary_id = $1 AND summed_at IS NULL;

-- name: AlertSummarySent :exec
-- Each of the alerts has then what its summary has on each channel: its end waits for that.
WITH named AS (UPDATE alert_arrivals SET summed_at = rollcall_now() WHERE summary_id = $1 AND summed_at IS NULL RETURNING message_id)
INSERT INTO notifications (message_id, channel, outcome, error_code, sent_at)
SELECT m.message_id, n.channel, n.outcome, coalesce(n.error_code, 'in_summary'), rollcall_now()
FROM named m CROSS JOIN notifications n WHERE n.message_id = $1
ON CONFLICT (message_id, channel) DO NOTHING;

-- name: AlertArrivalsForget :execrows
DELETE FROM alert_arrivals
WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM alert_arrivals a
    WHERE a.arrived_at < rollcall_now() - sqlc.arg(older_than)::interval AND (a.summed_at IS NOT NULL OR NOT a.gathered)
    ORDER BY a.arrived_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
