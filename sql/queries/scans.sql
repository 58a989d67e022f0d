-- name: SeenInsertNew :execrows
-- A page's ids, each once: as many rows as the scan had not met before. Asking the table which it knows would be at the
-- mercy of a plan made while the table was small; the insert finds each through the key.
INSERT INTO scan_seen (scan_id, vomo_user_id, created_at, pass)
SELECT sqlc.arg(scan_id), v.id, nullif(v.created_at, '0001-01-01 00:00:00+00'), sqlc.arg(pass)
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(created_ats)::timestamptz[]) AS created_at) v
ON CONFLICT (scan_id, vomo_user_id) DO NOTHING;

-- name: SeenMarkPass :exec
UPDATE scan_seen s SET pass = sqlc.arg(pass)
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
WHERE s.scan_id = sqlc.arg(scan_id) AND s.vomo_user_id = v.id AND s.pass <> sqlc.arg(pass);

-- name: SeenCount :one
SELECT count(*) FROM scan_seen WHERE scan_id = $1;

-- name: SeenCountBetween :one
SELECT count(*) FROM scan_seen
WHERE scan_id = sqlc.arg(scan_id) AND created_at >= coalesce(sqlc.narg(created_from)::timestamptz, '-infinity')
  AND created_at < coalesce(sqlc.narg(created_to)::timestamptz, 'infinity');

-- name: SeenCountPass :one
SELECT count(*) FROM scan_seen WHERE scan_id = sqlc.arg(scan_id) AND pass = sqlc.arg(pass);

-- name: SeenNthCreated :one
-- The rows are compared, and not the columns one by one, so that it goes along the index also where the table has no
-- statistics yet: it would sort all that follow. What follows may be another scan's: the caller looks.
SELECT scan_id, created_at FROM scan_seen
WHERE (scan_id, created_at) >= (sqlc.arg(scan_id)::bigint, coalesce(sqlc.narg(created_from)::timestamptz, '-infinity'))
ORDER BY scan_id, created_at OFFSET sqlc.arg(skip)::integer LIMIT 1;

-- name: SeenFinishedScans :many
-- Scans whose job is over, found by leaping through the index: the rows of those under way are not looked at.
WITH RECURSIVE scans AS (
    SELECT (SELECT min(s.scan_id) FROM scan_seen s) AS scan_id
    UNION ALL
    SELECT (SELECT min(s.scan_id) FROM scan_seen s WHERE s.scan_id > scans.scan_id) FROM scans WHERE scans.scan_id IS NOT NULL
)
SELECT j.id FROM scans JOIN job_log j ON j.id = scans.scan_id WHERE j.completed_at IS NOT NULL;

-- name: SeenForget :execrows
DELETE FROM scan_seen d WHERE d.ctid = ANY(ARRAY(
    SELECT s.ctid FROM scan_seen s WHERE s.scan_id = sqlc.arg(scan_id) LIMIT sqlc.arg(at_most)));
