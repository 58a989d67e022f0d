-- name: GivingFigures :one
-- What the report of a customer counts. Each figure reads one partial index. date_part is a float, which sorts faster than extract's numeric.
-- The year 1970 means that there is none, and -1 that nothing was confirmed since.
SELECT rollcall_now()::timestamptz AS at,
       (SELECT count(*) FROM virtuous_donation_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending') AS pending,
       coalesce((SELECT min(o.created_at) FROM virtuous_donation_queue o WHERE o.customer_id = sqlc.arg(customer_id) AND o.status = 'pending'),
                '1970-01-01T00:00:00Z')::timestamptz AS pending_since,
       (SELECT count(*) FROM virtuous_donation_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted'
          AND s.submitted_at < rollcall_now() - sqlc.arg(late)::interval) AS submitted_late,
       coalesce((SELECT min(t.submitted_at) FROM virtuous_donation_queue t WHERE t.customer_id = sqlc.arg(customer_id) AND t.status = 'submitted'
          AND t.submitted_at < rollcall_now() - sqlc.arg(late)::interval), '1970-01-01T00:00:00Z')::timestamptz AS submitted_late_since,
       (SELECT count(*) FROM virtuous_donation_queue r WHERE r.customer_id = sqlc.arg(customer_id) AND r.status = 'needs_review'
          AND r.review_reason = 'import_not_run') AS import_not_run,
       (SELECT count(*) FROM virtuous_donation_queue m WHERE m.customer_id = sqlc.arg(customer_id) AND m.status = 'needs_review'
          AND m.review_reason = 'match_needed') AS match_needed,
       (SELECT count(*) FROM virtuous_donation_queue f WHERE f.customer_id = sqlc.arg(customer_id) AND f.status = 'failed') AS failed,
       ((SELECT count(*) FROM partner_gifts g WHERE g.customer_id = sqlc.arg(customer_id) AND g.sync_state <> 'in_sync' AND g.sync_state = 'conflict')
      + (SELECT count(*) FROM partner_contacts d WHERE d.customer_id = sqlc.arg(customer_id) AND d.sync_state <> 'in_sync'
           AND d.sync_state = 'conflict'))::bigint AS conflict,
       c.confirmed, c.recovered, c.median, c.p95
FROM (SELECT count(*) AS confirmed, count(*) FILTER (WHERE k.recovery_path LIKE 'reconciliation%') AS recovered,
             coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', k.confirmed_at - k.submitted_at)), -1)::float8 AS median,
             coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY date_part('epoch', k.confirmed_at - k.submitted_at)), -1)::float8 AS p95
      FROM virtuous_donation_queue k
      WHERE k.customer_id = sqlc.arg(customer_id) AND k.status = 'confirmed' AND k.confirmed_at > rollcall_now() - sqlc.arg(within)::interval) c;

-- name: GivingReportUpsert :exec
INSERT INTO giving_reports (customer_id, date, report, made_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(date)::text::date, sqlc.arg(report), sqlc.arg(made_at))
ON CONFLICT (customer_id, date) DO UPDATE SET report = excluded.report, made_at = excluded.made_at;

-- name: GivingReportOf :one
SELECT report FROM giving_reports WHERE customer_id = sqlc.arg(customer_id) AND date = sqlc.arg(date)::text::date;

-- name: GivingReportsBefore :many
-- The last reports of days before a day, newest first.
SELECT date::text AS date, report, made_at FROM giving_reports
WHERE customer_id = sqlc.arg(customer_id) AND date < sqlc.arg(before)::text::date ORDER BY date DESC LIMIT sqlc.arg(at_most);

-- name: GivingDriftSince :one
-- How many differences between contacts of both sides were found since a time, without those that come of a change that a side has just made.
SELECT count(*) FROM virtuous_reconciliation_log
WHERE customer_id = sqlc.arg(customer_id) AND category = 'drift' AND run_at > sqlc.arg(since)::timestamptz
  AND details ->> 'occasion' IS DISTINCT FROM 'change';

-- name: GivingReportForgetOld :execrows
DELETE FROM giving_reports
WHERE ctid = ANY(ARRAY(
    SELECT o.ctid FROM giving_reports o WHERE o.made_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY o.made_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: GivingReportsLockDue :many
-- Customers whose daily run is due, locked. Without giving there is none.
SELECT customer_id, enabled, time_zone, next_report_at FROM virtuous_configs WHERE removed_at IS NULL AND next_report_at <= rollcall_now()
ORDER BY next_report_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED;

-- name: GivingReportsSetNext :exec
-- A daily run stands for the scheduled reconciliation that would be next.
UPDATE virtuous_configs v
SET next_report_at = n.at, next_reconcile_at = CASE WHEN v.enabled THEN greatest(v.next_reconcile_at, rollcall_now() + sqlc.arg(every)::interval)
                                                    ELSE v.next_reconcile_at END
FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id, unnest(sqlc.arg(next)::timestamptz[]) AS at) n
WHERE v.customer_id = n.customer_id;

-- name: GivingReportsDue :many
-- Reports that are to be made: the categories before it are complete, or were not completed in time.
SELECT r.customer_id FROM giving_reconciliations r
WHERE r.category = 'report'
  AND (r.asked_at <= rollcall_now() - sqlc.arg(longest_wait)::interval
       OR NOT EXISTS (SELECT FROM giving_reconciliations o WHERE o.customer_id = r.customer_id AND o.category <> 'report' AND o.scheduled OFFSET 0))
ORDER BY r.asked_at LIMIT sqlc.arg(at_most);

-- name: GivingReportTake :execrows
-- Ends the wait for a report, in the transaction that stores it. Another process that makes it has the row locked.
DELETE FROM giving_reconciliations
WHERE ctid = ANY(ARRAY(
    SELECT t.ctid FROM giving_reconciliations t WHERE t.customer_id = $1 AND t.category = 'report' FOR UPDATE SKIP LOCKED));

-- name: GivingReportsLatest :many
-- The figures of each customer's last report, if it is not older than a day and a half; -1 where nothing was confirmed.
SELECT DISTINCT ON (g.customer_id) g.customer_id,
       coalesce((g.report #>> '{metrics,pending,value}')::bigint, 0)::bigint AS pending,
       coalesce((g.report #>> '{metrics,submittedLate,value}')::bigint, 0)::bigint AS submitted_late,
       coalesce((g.report #>> '{metrics,needsReview,value}')::bigint, 0)::bigint AS needs_review,
       coalesce((g.report #>> '{metrics,failed,value}')::bigint, 0)::bigint AS failed,
       coalesce((g.report #>> '{metrics,conflict,value}')::bigint, 0)::bigint AS conflict,
       coalesce((g.report #>> '{metrics,latency,medianSeconds}')::float8, -1)::float8 AS latency_seconds,
       coalesce((g.report #>> '{metrics,recoveredShare,value}')::float8, -1)::float8 AS recovered_share
FROM giving_reports g WHERE g.made_at > rollcall_now() - interval '36 hours'
ORDER BY g.customer_id, g.date DESC;
