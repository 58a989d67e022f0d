-- name: CountSeen :one
-- CountSeen returns how many ids the scan has seen.
SELECT count(*) FROM scan_seen WHERE scan_id = sqlc.arg(scan);

-- name: CountSeenBetween :one
-- CountSeenBetween counts the ids created from a time (inclusive) to a time (exclusive); nil is no bound. Ids without a time
-- of creation are in no window.
SELECT count(*) FROM scan_seen
WHERE scan_id = sqlc.arg(scan) AND created_at >= coalesce(sqlc.narg(created_from)::timestamptz, '-infinity')
  AND created_at < coalesce(sqlc.narg(created_to)::timestamptz, 'infinity');

-- name: CountSeenIn :one
-- CountSeenIn counts the ids that were seen in the reading with that number.
SELECT count(*) FROM scan_seen WHERE scan_id = sqlc.arg(scan) AND pass = sqlc.arg(pass);
