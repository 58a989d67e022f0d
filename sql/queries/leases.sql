-- name: LeaseTakeIfFree :one
-- A new epoch for the one who finds the lane free; no row if another holds it, or held it and has not let go yet.
INSERT INTO customer_leases (customer_id, epoch, holder, expires_at, wanted)
VALUES (sqlc.arg(customer_id), 1, sqlc.arg(holder), rollcall_now() + sqlc.arg(ttl)::interval, false)
ON CONFLICT (customer_id) DO UPDATE
SET epoch = customer_leases.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at, wanted = false
WHERE customer_leases.expires_at <= rollcall_now()
RETURNING epoch;

-- name: LeaseMarkWanted :exec
UPDATE customer_leases SET wanted = true WHERE customer_id = $1 AND expires_at > rollcall_now();

-- name: LeaseRenewIfHeld :one
-- Never shortens the lease: now() is when a transaction began, and the holder already counts on a renewal that was
-- begun later and came first. The holder is compared, too: a Postgres that lost its last transactions may give an epoch
-- a second time.
UPDATE customer_leases SET expires_at = greatest(expires_at, rollcall_now() + sqlc.arg(ttl)::interval)
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND holder = sqlc.arg(holder) AND expires_at > rollcall_now()
RETURNING wanted;

-- name: LeaseWantedIfHeld :one
-- What a renewal says, without renewing.
SELECT wanted FROM customer_leases
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND holder = sqlc.arg(holder) AND expires_at > rollcall_now();

-- name: LeaseReleaseIfHeld :execrows
-- The epoch ends with the lease: a renewal that was begun before the release and comes after it must not bring the
-- lease back without a holder. A holder that was fenced has an epoch of before, and lets the next one in all the same.
UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now(), wanted = false
WHERE customer_id = sqlc.arg(customer_id) AND holder = sqlc.arg(holder) AND epoch >= sqlc.arg(epoch);

-- name: LeaseFence :exec
-- The holder's next page is refused. The lease stands until the holder lets go, or until it runs out: requests that have
-- left are still on their way, and the next holder's must not overtake them.
UPDATE customer_leases SET epoch = epoch + 1, fenced_epoch = epoch + 1 WHERE customer_id = $1;

-- name: LeaseClosingUntil :one
-- When at the latest a lane that was fenced is free; no row if it is not closing.
SELECT expires_at FROM customer_leases
WHERE customer_id = $1 AND fenced_epoch = epoch AND expires_at > rollcall_now();
