-- name: RequestInsertPendingIfNew :one
INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, request, sealed_secrets,
                                 next_attempt_at, received_at)
VALUES ($1, $2, $3, 'pending', $4, $5, rollcall_now(), rollcall_now())
ON CONFLICT (stream_created, stream_seq) DO NOTHING
RETURNING id;

-- name: RequestInsertRejectedIfNew :one
INSERT INTO onboarding_requests (stream_created, stream_seq, customer_id, state, errors, received_at, settled_at)
VALUES ($1, $2, $3, 'rejected', $4, rollcall_now(), rollcall_now())
ON CONFLICT (stream_created, stream_seq) DO NOTHING
RETURNING id;

-- name: RequestClaimDue :one
-- The newest pending request of one customer that is due; a customer is worked by one process at a time, and
-- a process that dies leaves the row due again after the hold.
UPDATE onboarding_requests r
SET next_attempt_at = rollcall_now() + sqlc.arg(hold)::interval, attempts = r.attempts + 1
WHERE r.id = (
    SELECT p.id FROM onboarding_requests p
    WHERE p.state = 'pending' AND p.next_attempt_at <= rollcall_now()
      AND NOT EXISTS (SELECT 1 FROM onboarding_requests h
                      WHERE h.customer_id = p.customer_id AND h.state = 'pending'
                        AND (h.stream_created, h.stream_seq) > (p.stream_created, p.stream_seq))
    ORDER BY p.next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING r.id, r.stream_created, r.stream_seq, r.customer_id, r.request, r.sealed_secrets, r.attempts, r.delayed_told;

-- name: RequestSettleIfPending :execrows
-- A settled request keeps no secret.
UPDATE onboarding_requests
SET state = sqlc.arg(state), errors = sqlc.narg(errors), sealed_secrets = NULL, settled_at = rollcall_now(),
    next_attempt_at = NULL
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestSupersedeOlder :execrows
UPDATE onboarding_requests
SET state = 'superseded', sealed_secrets = NULL, settled_at = rollcall_now(), next_attempt_at = NULL
WHERE customer_id = sqlc.arg(customer_id) AND state = 'pending'
  AND (stream_created, stream_seq) < (sqlc.arg(stream_created)::timestamptz, sqlc.arg(stream_seq)::bigint);

-- name: RequestSupersedeAll :execrows
-- An offboarding ends what was still pending.
UPDATE onboarding_requests
SET state = 'superseded', sealed_secrets = NULL, settled_at = rollcall_now(), next_attempt_at = NULL
WHERE customer_id = $1 AND state = 'pending';

-- name: RequestDelayIfPending :execrows
UPDATE onboarding_requests
SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, delayed_told = true
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestGiveBackIfPending :exec
-- Gives the claim back: the request is due again after a moment, and no event is published.
UPDATE onboarding_requests SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestAppliedAfter :one
-- Whether a later request of this customer was already applied (an older one must not undo it).
SELECT EXISTS (SELECT 1 FROM onboarding_requests
               WHERE customer_id = sqlc.arg(customer_id) AND state IN ('applied', 'duplicate')
                 AND (stream_created, stream_seq) > (sqlc.arg(stream_created)::timestamptz, sqlc.arg(stream_seq)::bigint));

-- name: RequestGetBySequence :one
SELECT id, customer_id, state, errors, attempts, received_at, settled_at
FROM onboarding_requests WHERE stream_created = $1 AND stream_seq = $2;

-- name: RequestLatestForCustomer :one
SELECT id, customer_id, state, errors, attempts, received_at, settled_at
FROM onboarding_requests WHERE customer_id = $1 ORDER BY id DESC LIMIT 1;

-- name: CustomerLock :exec
-- Two processes that set up the same customer do it one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('rollcall.customer.' || sqlc.arg(customer_id)::text, 0));
