-- name: ReconciliationInsert :exec
INSERT INTO reconciliation_runs (customer_id, type, date, job_id, trace_id, expected_count, gap_count, failure_count, verified,
                                 started_at, completed_at)
SELECT sqlc.arg(customer_id), sqlc.arg(type), sqlc.arg(date), sqlc.arg(job_id), sqlc.arg(trace_id), sqlc.arg(expected_count),
       (SELECT count(*) FROM reconciliation_gaps g WHERE g.job_id = sqlc.arg(job_id)), sqlc.arg(failure_count),
       sqlc.narg(verified), sqlc.arg(started_at), rollcall_now();

-- name: ReconciliationGapsInsert :exec
INSERT INTO reconciliation_gaps (job_id, customer_id, vomo_user_id, reason, source_updated_at, noted_at)
SELECT sqlc.arg(job_id), sqlc.arg(customer_id), v.id, v.reason, v.updated_at, rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(reasons)::text[]) AS reason,
             unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at) v
ON CONFLICT (job_id, vomo_user_id) DO NOTHING;

-- name: ReconciliationLateGaps :one
-- Of the last week's reconciliations the gaps whose time lay far behind the moment at which they were read, and for this one how far
-- the newest of them did.
SELECT count(*) AS recent, count(*) FILTER (WHERE g.job_id = sqlc.arg(job_id)) AS now,
       coalesce(ceil(extract(epoch FROM min(g.noted_at - g.source_updated_at) FILTER (WHERE g.job_id = sqlc.arg(job_id))) / 60), 0)::integer AS minutes
FROM (SELECT r.job_id FROM reconciliation_runs r
      WHERE r.customer_id = sqlc.arg(customer_id) AND r.type = sqlc.arg(type) AND r.date > (rollcall_now() AT TIME ZONE 'UTC')::date - 8
      ORDER BY r.date DESC LIMIT 20) runs
JOIN reconciliation_gaps g ON g.job_id = runs.job_id
WHERE g.noted_at - g.source_updated_at > sqlc.arg(later_than)::interval;

-- name: ReconciliationGapCount :one
SELECT count(*) FROM reconciliation_gaps WHERE job_id = $1;

-- name: ReconciliationsRecent :many
SELECT type, date, expected_count, gap_count, failure_count, verified, started_at, completed_at FROM reconciliation_runs
WHERE customer_id = sqlc.arg(customer_id) AND type = sqlc.arg(type) AND completed_at > rollcall_now() - sqlc.arg(within)::interval
ORDER BY completed_at DESC LIMIT sqlc.arg(at_most);

-- name: ReconciliationLatest :one
SELECT type, date, expected_count, gap_count, failure_count, verified, started_at, completed_at FROM reconciliation_runs
WHERE customer_id = sqlc.arg(customer_id) AND type = sqlc.arg(type) ORDER BY date DESC, id DESC LIMIT 1;
