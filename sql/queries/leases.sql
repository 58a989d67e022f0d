-- name: LeaseTakeIfFree :one
-- A new epoch for whoever finds the lane free; no row where somebody holds it.
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
-- begun later and came first.
UPDATE customer_leases SET expires_at = greatest(expires_at, rollcall_now() + sqlc.arg(ttl)::interval)
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND expires_at > rollcall_now()
RETURNING wanted;

-- name: LeaseReleaseIfHeld :execrows
-- The epoch ends with the lease: a renewal that was begun before the release and comes after it must not bring the
-- lease back, with nobody there to hold it.
UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now(), wanted = false
WHERE customer_id = $1 AND epoch = $2;

-- name: LeaseFence :exec
-- Ends whatever lease stands: its holder's next page is refused.
UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now(), wanted = false WHERE customer_id = $1;
