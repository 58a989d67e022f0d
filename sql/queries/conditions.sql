-- name: ConditionsFound :many
-- The customers with conditions that only time brings: of these customers, or of all. One statement for all
-- customers and all conditions, so that ten thousand who are well cost one question.
SELECT 'poll_stalled'::text AS type, c.customer_id,
       greatest(c.last_polled_at, c.poll_page_at, c.active_since, c.backfill_completed_at)::timestamptz AS since
FROM sync_configs c
WHERE (sqlc.arg(everybody)::boolean OR c.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL AND c.backfill_completed_at IS NOT NULL
  AND greatest(c.last_polled_at, c.poll_page_at, c.active_since, c.backfill_completed_at)
      < rollcall_now() - 2 * make_interval(mins => c.poll_cadence_minutes)
UNION ALL
-- One that is not due waits for a time.
SELECT 'backfill_stalled', r.customer_id, r.updated_at
FROM backfill_runs r JOIN sync_configs c ON c.customer_id = r.customer_id
WHERE (sqlc.arg(everybody)::boolean OR r.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND c.enabled AND c.paused_at IS NULL AND c.offboarded_at IS NULL
  AND r.state IN ('queued', 'running') AND r.due_at <= rollcall_now()
  AND r.updated_at < rollcall_now() - sqlc.arg(backfill_patience)::interval
UNION ALL
-- One that is parked again and again, whatever state the row is in meanwhile, for a reason of which no alert of its own
-- stands. What was asked for, or lets another job go first, is no stall.
SELECT 'backfill_stalled', r.customer_id, r.park_since::timestamptz
FROM backfill_runs r JOIN sync_configs c ON c.customer_id = r.customer_id
WHERE (sqlc.arg(everybody)::boolean OR r.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
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
-- Whose last one is read only for those who have none in that time.
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
-- What grows is what stays open. It has begun above the mark, and is over below half of it, so that a customer who
-- stands at the mark gets no alert every minute.
SELECT 'dlq_growth', l.customer_id, min(l.first_failed_at)
FROM dead_letters l
WHERE (sqlc.arg(everybody)::boolean OR l.customer_id = ANY(sqlc.arg(customer_ids)::text[]))
  AND l.state <> 'settled' AND l.first_failed_at > rollcall_now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM sync_configs o WHERE o.customer_id = l.customer_id AND o.offboarded_at IS NOT NULL)
GROUP BY l.customer_id
HAVING count(*) > sqlc.arg(letter_growth)::bigint OR (2 * count(*) >= sqlc.arg(letter_growth)::bigint AND EXISTS (
    SELECT FROM alerts a WHERE a.customer_id = l.customer_id AND a.type = 'dlq_growth' AND a.cleared_at IS NULL));

-- name: AlertsStandingOf :many
SELECT customer_id, type FROM alerts WHERE cleared_at IS NULL AND type = ANY(sqlc.arg(types)::text[]);

-- name: AlertsPage :many
-- Newest first: those that stand, and with cleared_within those that were over lately.
SELECT id, customer_id, type, severity, coalesce(details->>'vomoUserId', '')::text AS vomo_user_id, raised_at, cleared_at FROM alerts
WHERE (sqlc.narg(customer_id)::text IS NULL OR customer_id = sqlc.narg(customer_id)::text)
  AND (cleared_at IS NULL OR cleared_at > rollcall_now() - sqlc.arg(cleared_within)::interval)
  AND id < sqlc.arg(before)
ORDER BY id DESC LIMIT sqlc.arg(page_size);
