-- name: AttemptBegin :one
-- Notes an attempt, forgets those that have ended, and counts the message's others, which have not. The count is of before.
WITH over AS (
    DELETE FROM message_attempts a
    USING (SELECT unnest(sqlc.arg(ended_origins)::text[]) AS origin, unnest(sqlc.arg(ended)::uuid[]) AS attempt) e
    WHERE a.origin = e.origin AND a.attempt = e.attempt
), noted AS (
    INSERT INTO message_attempts (origin, attempt, noted_at) VALUES (sqlc.arg(origin), sqlc.arg(attempt), rollcall_now())
)
SELECT count(*) FROM message_attempts b WHERE b.origin = sqlc.arg(origin) AND b.attempt <> ALL (sqlc.arg(ended)::uuid[]);

-- name: AttemptEnd :exec
DELETE FROM message_attempts WHERE origin = sqlc.arg(origin) AND attempt = sqlc.arg(attempt);

-- name: AttemptsForget :execrows
-- Of messages that are long gone.
DELETE FROM message_attempts
WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM message_attempts a WHERE a.noted_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY a.noted_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
