-- name: ConsoleSession :one
-- ConsoleSession returns the data of a session; ErrNotFound if there is none, or if it was idle for too long. Stale says that its last use
-- is a minute or more ago.
SELECT data, (seen_at < rollcall_now() - interval '1 minute')::boolean AS stale FROM console_sessions
WHERE token_hash = sqlc.arg(token_hash)::text AND expires_at > rollcall_now() AND seen_at > rollcall_now() - sqlc.arg(idle)::interval;

-- name: NoteConsoleSessionSeen :exec
-- NoteConsoleSessionSeen notes that a session is used.
UPDATE console_sessions SET seen_at = rollcall_now() WHERE token_hash = sqlc.arg(token_hash)::text;

-- name: AddConsoleSession :exec
-- AddConsoleSession stores a new session, which ends after life.
INSERT INTO console_sessions (token_hash, data, seen_at, expires_at)
VALUES (sqlc.arg(token_hash)::text, sqlc.arg(data)::bytea, rollcall_now(), rollcall_now() + sqlc.arg(life)::interval);

-- name: DeleteConsoleSession :exec
-- DeleteConsoleSession deletes a session. It is no error if there is none.
DELETE FROM console_sessions WHERE token_hash = sqlc.arg(token_hash)::text;

-- name: ForgetConsoleSessions :execrows
-- ForgetConsoleSessions deletes up to atMost sessions that were used last before age, and returns how many it deleted. A session that expired
-- cannot be used, so it is deleted some time later.
DELETE FROM console_sessions
WHERE token_hash = ANY(ARRAY(
    SELECT s.token_hash FROM console_sessions s WHERE s.seen_at < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY s.seen_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
