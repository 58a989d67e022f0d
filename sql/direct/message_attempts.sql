-- name: EndAttempt :exec
-- EndAttempt forgets an attempt that has ended, with whatever outcome.
DELETE FROM message_attempts WHERE origin = sqlc.arg(origin) AND attempt = sqlc.arg(attempt);

-- name: ForgetAttempts :execrows
-- ForgetAttempts deletes up to atMost attempts that were noted longer than age ago. It returns how many it deleted.
DELETE FROM message_attempts
WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM message_attempts a WHERE a.noted_at < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY a.noted_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
