-- name: AlertArrivalsLock :exec
SELECT pg_advisory_xact_lock(hashtextextended('rollcall.alert_arrivals.' || sqlc.arg(type)::text, 0));

-- name: AlertArrivalInsertIfNew :one
-- Gathers the clearing of an alert, too, if the message that raised it waits for a summary.
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
-- Gives a summary id to all waiting alerts of one type, if no more came for a time or if the first has waited for long. If the
-- cleared alerts of a type are due, so are its raised ones.
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
