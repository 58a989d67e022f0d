-- name: RequestInsertPendingIfNew :one
INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, request, sealed_secrets, mirror, giving, trace_parent,
                                 next_attempt_at, received_at)
VALUES ($1, $2, $3, 'pending', $4, $5, $6, $7, $8, rollcall_now(), rollcall_now())
ON CONFLICT (stream_created, stream_seq) DO NOTHING
RETURNING id;

-- name: RequestInsertRejectedIfNew :one
INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, errors, received_at, settled_at)
VALUES ($1, $2, $3, 'rejected', $4, rollcall_now(), rollcall_now())
ON CONFLICT (stream_created, stream_seq) DO NOTHING
RETURNING id;

-- name: RequestClaimDue :one
-- Claims the newest pending request of one customer that is due; one that is about the other side only does not count. One process
-- works a request at a time. If it dies, the row is due again after the hold.
UPDATE onboarding_requests r
SET next_attempt_at = rollcall_now() + sqlc.arg(hold)::interval, attempts = r.attempts + 1
WHERE r.id = (
    SELECT p.id FROM onboarding_requests p
    WHERE p.state = 'pending' AND p.next_attempt_at <= rollcall_now()
      AND NOT EXISTS (SELECT 1 FROM onboarding_requests h
                      WHERE h.customer_id = p.customer_id AND h.state = 'pending' AND ((h.mirror AND p.mirror) OR (h.giving AND p.giving))
                        AND (h.stream_created, h.stream_seq) > (p.stream_created, p.stream_seq))
    ORDER BY p.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING r.id, r.stream_created, r.stream_seq, r.customer_id, r.request, r.sealed_secrets, r.attempts, r.delayed_told AS delay_notified,
          r.mirror, r.giving, coalesce(r.trace_parent, '')::text AS trace_parent;

-- name: RequestSettleIfPending :execrows
-- Deletes the secrets with the state.
UPDATE onboarding_requests
SET state = sqlc.arg(state), errors = sqlc.narg(errors), sealed_secrets = NULL, settled_at = rollcall_now(),
    next_attempt_at = NULL
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestReplaceSecretsIfPending :execrows
UPDATE onboarding_requests SET sealed_secrets = sqlc.arg(sealed_secrets) WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestSupersedeOlder :execrows
-- An older request that is also about another side stays: that side is still to be applied.
UPDATE onboarding_requests
SET state = 'superseded', sealed_secrets = NULL, settled_at = rollcall_now(), next_attempt_at = NULL
WHERE customer_id = sqlc.arg(customer_id) AND state = 'pending'
  AND (sqlc.arg(mirror)::boolean OR NOT mirror) AND (sqlc.arg(giving)::boolean OR NOT giving)
  AND (stream_created, stream_seq) < (sqlc.arg(stream_created)::timestamptz, sqlc.arg(stream_seq)::bigint);

-- name: RequestSupersedeAll :execrows
-- Ends all pending requests, for an offboarding.
UPDATE onboarding_requests
SET state = 'superseded', sealed_secrets = NULL, settled_at = rollcall_now(), next_attempt_at = NULL
WHERE customer_id = $1 AND state = 'pending';

-- name: RequestDelayIfPending :execrows
UPDATE onboarding_requests
SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, delayed_told = true
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestGiveBackIfPending :exec
-- Gives the claim back: the request is due again after a delay, and no event is published.
UPDATE onboarding_requests SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestAppliedAfter :one
-- Says of which sides a later request of this customer was applied: an older request must not undo it.
SELECT coalesce(bool_or(r.mirror), false)::boolean AS mirror, coalesce(bool_or(r.giving), false)::boolean AS giving
FROM onboarding_requests r
WHERE r.customer_id = sqlc.arg(customer_id) AND r.state IN ('applied', 'duplicate')
  AND (r.stream_created, r.stream_seq) > (sqlc.arg(stream_created)::timestamptz, sqlc.arg(stream_seq)::bigint);

-- name: RequestGetBySequence :one
SELECT id, customer_id, state, errors, attempts, received_at, settled_at
FROM onboarding_requests WHERE stream_created = $1 AND stream_seq = $2;

-- name: CustomerLock :exec
-- Has two processes that set up the same customer do so one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('rollcall.customer.' || sqlc.arg(customer_id)::text, 0));

-- name: CustomerLockShared :exec
-- Keeps CustomerLock away, and is not kept away by others of its kind.
SELECT pg_advisory_xact_lock_shared(hashtextextended('rollcall.customer.' || sqlc.arg(customer_id)::text, 0));

-- name: AttemptBegin :one
-- Stores an attempt, deletes those that have ended, and counts the message's other attempts, which have not ended. The count is
-- from before the statement.
WITH over AS (
    DELETE FROM message_attempts a
    USING (SELECT unnest(sqlc.arg(ended_origins)::text[]) AS origin, unnest(sqlc.arg(ended)::uuid[]) AS attempt) e
    WHERE a.origin = e.origin AND a.attempt = e.attempt
), noted AS (
    INSERT INTO message_attempts (origin, attempt, noted_at) VALUES (sqlc.arg(origin), sqlc.arg(attempt), rollcall_now())
)
SELECT count(*) FROM message_attempts b WHERE b.origin = sqlc.arg(origin) AND b.attempt <> ALL (sqlc.arg(ended)::uuid[]);
