-- name: TakeIdempotencyKey :execrows
-- TakeIdempotencyKey gives a key to a request for the lease. It returns 0 if the key has another request, an answer, or a request that is under way.
INSERT INTO idempotency_keys AS k (principal, key_hash, request_hash, holder, lease_until, customer_id, created_at)
VALUES (sqlc.arg(principal)::text, sqlc.arg(key_hash)::bytea, sqlc.arg(request_hash)::bytea, sqlc.arg(holder)::uuid,
        rollcall_now() + sqlc.arg(lease)::interval, nullif(sqlc.arg(customer)::text, ''), rollcall_now())
ON CONFLICT (principal, key_hash) DO UPDATE
SET request_hash = excluded.request_hash, holder = excluded.holder, lease_until = excluded.lease_until, customer_id = excluded.customer_id,
    status = NULL, answer_sealed = NULL, created_at = excluded.created_at
WHERE k.created_at <= rollcall_now() - sqlc.arg(age)::interval
   OR (k.status IS NULL AND k.lease_until <= rollcall_now() AND k.request_hash = excluded.request_hash);

-- name: IdempotencyKey :one
-- IdempotencyKey returns what a key has; ErrNotFound if it has nothing any more.
SELECT request_hash, coalesce(status, 0)::integer AS status, answer_sealed,
       ceil(greatest(extract(epoch FROM lease_until - rollcall_now()), 0))::integer AS lease_seconds
FROM idempotency_keys WHERE principal = sqlc.arg(principal)::text AND key_hash = sqlc.arg(key_hash)::bytea;

-- name: KeepIdempotentAnswer :execrows
-- KeepIdempotentAnswer keeps the answer of the request that has the key. It returns 0 if another one has it by now, or if the customer of the answer
-- was offboarded.
UPDATE idempotency_keys k
SET status = sqlc.arg(status)::integer, answer_sealed = sqlc.arg(answer_sealed)::bytea,
    customer_id = coalesce(k.customer_id, nullif(sqlc.arg(customer)::text, ''))
WHERE k.principal = sqlc.arg(principal)::text AND k.key_hash = sqlc.arg(key_hash)::bytea AND k.holder = sqlc.arg(holder)::uuid
  AND NOT EXISTS (SELECT FROM sync_configs c WHERE c.customer_id = sqlc.arg(customer)::text AND c.offboarded_at IS NOT NULL);

-- name: GiveUpIdempotencyKey :exec
-- GiveUpIdempotencyKey lets the next request with the key act, because this one has no answer that is kept.
DELETE FROM idempotency_keys
WHERE principal = sqlc.arg(principal)::text AND key_hash = sqlc.arg(key_hash)::bytea AND holder = sqlc.arg(holder)::uuid AND status IS NULL;

-- name: ForgetIdempotencyKeys :execrows
-- ForgetIdempotencyKeys deletes up to atMost keys that were taken before age, and returns how many it deleted.
DELETE FROM idempotency_keys
WHERE ctid = ANY(ARRAY(
    SELECT k.ctid FROM idempotency_keys k WHERE k.created_at < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY k.created_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
