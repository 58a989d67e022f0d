-- name: ConditionsFound :many
-- The conditions that begin because time passes: of these customers, or of all. One statement reads all customers and all
-- conditions, so that ten thousand healthy customers cost one query.
SELECT 'poll_stalled'::text AS type, c.customer_id,
       greatest(c.last_polled_at, c.poll_page_at, c.active_since, c.backfill_completed_at)::timestamptz AS since
FROM sync_configs c
WHERE (sqlc.arg(everybody)::boolean OR c.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
  AND greatest(c.last_polled_at, c.poll_page_at, c.active_since, c.backfill_completed_at)
      < rollcall_now() - 2 * make_interval(mins => c.poll_cadence_minutes)
UNION ALL
-- A run that is not due waits for a time, and is not stalled.
SELECT 'backfill_stalled', r.customer_id, r.updated_at
FROM all_runs r JOIN sync_configs c ON c.customer_id = r.customer_id
WHERE r.kind = 'backfill' AND (sqlc.arg(everybody)::boolean OR r.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
  AND r.state IN ('queued', 'running') AND r.due_at <= rollcall_now()
  AND r.updated_at < rollcall_now() - sqlc.arg(backfill_patience)::interval
UNION ALL
-- A run that is parked again and again, whatever its state is meanwhile, for a reason that has no active alert of its own.
-- Reasons that an operator asked for, or that let another job go first, are no stall.
SELECT 'backfill_stalled', r.customer_id, r.park_since::timestamptz
FROM all_runs r JOIN sync_configs c ON c.customer_id = r.customer_id
WHERE r.kind = 'backfill' AND (sqlc.arg(everybody)::boolean OR r.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
  AND r.state IN ('queued', 'running', 'parked') AND r.parks > 0
  AND r.park_reason NOT IN ('not_before', 'quiet_hours', 'lane_wanted')
  AND r.park_since < rollcall_now() - sqlc.arg(backfill_patience)::interval
  AND NOT EXISTS (SELECT FROM alerts a
                  WHERE a.customer_id IN (r.customer_id, '_installation') AND a.type = r.park_reason AND a.cleared_at IS NULL)
UNION ALL
SELECT 'contact_shared', s.customer_id, s.noted_at
FROM shared_contacts s
WHERE (sqlc.arg(everybody)::boolean OR s.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND NOT EXISTS (SELECT FROM sync_configs o WHERE o.customer_id = s.customer_id AND o.offboarded_at IS NOT NULL)
UNION ALL
-- The time of the last reconciliation is read only for customers that have none in that time.
SELECT 'reconcile_stalled', c.customer_id,
       greatest(c.active_since, c.backfill_completed_at,
                (SELECT max(d.completed_at) FROM reconciliation_runs d WHERE d.customer_id = c.customer_id AND d.type = 'user_daily'))::timestamptz
FROM sync_configs c
WHERE (sqlc.arg(everybody)::boolean OR c.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
  AND greatest(c.active_since, c.backfill_completed_at) < rollcall_now() - sqlc.arg(reconcile_patience)::interval
  AND NOT EXISTS (
      SELECT FROM reconciliation_runs n WHERE n.customer_id = c.customer_id AND n.type = 'user_daily'
         AND n.completed_at >= rollcall_now() - sqlc.arg(reconcile_patience)::interval)
UNION ALL
SELECT 'dlq_age', l.customer_id, min(l.first_failed_at)
FROM dead_letters l
WHERE (sqlc.arg(everybody)::boolean OR l.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND l.state <> 'settled' AND l.first_failed_at < rollcall_now() - sqlc.arg(letter_age)::interval
  AND NOT EXISTS (SELECT FROM sync_configs o WHERE o.customer_id = l.customer_id AND o.offboarded_at IS NOT NULL)
GROUP BY l.customer_id
UNION ALL
-- Pending for so long that whatever keeps the donation or contact from being sent needs a person. What waits on purpose does not count.
SELECT 'giving_pending_age', q.customer_id, min(q.status_at)::timestamptz
FROM (SELECT d.customer_id, d.created_at, d.status_at FROM virtuous_donation_queue d WHERE d.status = 'pending'
      UNION ALL
      SELECT p.customer_id, p.created_at, p.status_at FROM virtuous_contact_queue p WHERE p.status = 'pending') q
JOIN virtuous_configs v ON v.customer_id = q.customer_id
JOIN sync_configs c ON c.customer_id = q.customer_id
WHERE (sqlc.arg(everybody)::boolean OR q.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND q.created_at < rollcall_now() - sqlc.arg(donation_age)::interval
  AND q.status_at < rollcall_now() - sqlc.arg(donation_age)::interval
  AND v.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
GROUP BY q.customer_id
UNION ALL
-- Letters that are still open count. The condition begins above the limit and ends below half of it, so that a customer
-- near the limit does not get an alert every minute.
SELECT 'dlq_growth', l.customer_id, min(l.first_failed_at)
FROM dead_letters l
WHERE (sqlc.arg(everybody)::boolean OR l.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND l.state <> 'settled' AND l.first_failed_at > rollcall_now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM sync_configs o WHERE o.customer_id = l.customer_id AND o.offboarded_at IS NOT NULL)
GROUP BY l.customer_id
HAVING count(*) > sqlc.arg(letter_growth)::bigint OR (2 * count(*) >= sqlc.arg(letter_growth)::bigint AND EXISTS (
    SELECT FROM alerts a WHERE a.customer_id = l.customer_id AND a.type = 'dlq_growth' AND a.cleared_at IS NULL));
