-- name: LeaseTakeIfFree :one
-- Returns a new epoch if the lane is free; no row if another job holds it, or held it and has not released it.
INSERT INTO customer_leases (customer_id, epoch, holder, expires_at, wanted)
VALUES (sqlc.arg(customer_id), 1, sqlc.arg(holder), rollcall_now() + sqlc.arg(ttl)::interval, false)
ON CONFLICT (customer_id) DO UPDATE
SET epoch = customer_leases.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at, wanted = false
WHERE customer_leases.expires_at <= rollcall_now()
RETURNING epoch;

-- name: LeaseMarkWanted :exec
UPDATE customer_leases SET wanted = true WHERE customer_id = $1 AND expires_at > rollcall_now();

-- name: LeaseRenewIfHeld :one
-- Never shortens the lease: now() is when the transaction began, and a renewal that began later may have arrived first. The holder
-- is compared, too, because a Postgres that lost its last transactions may give an epoch a second time.
UPDATE customer_leases SET expires_at = greatest(expires_at, rollcall_now() + sqlc.arg(ttl)::interval)
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND holder = sqlc.arg(holder) AND expires_at > rollcall_now()
RETURNING wanted;

-- name: LeaseRenewOrFail :one
-- LeaseRenewIfHeld for a page's transaction: if the lease is not held, the statement fails, and Postgres skips the commit that was sent with it.
WITH renewed AS (
UPDATE customer_leases SET expires_at = greatest(expires_at, rollcall_now() + sqlc.arg(ttl)::interval)
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND holder = sqlc.arg(holder) AND expires_at > rollcall_now()
RETURNING wanted)
SELECT CASE count(*) WHEN 1 THEN bool_or(wanted) ELSE lane_lost() = 0 END::boolean AS wanted FROM renewed;

-- name: LeaseWantedIfHeld :one
-- Returns what a renewal returns, and does not renew.
SELECT wanted FROM customer_leases
WHERE customer_id = sqlc.arg(customer_id) AND epoch = sqlc.arg(epoch) AND holder = sqlc.arg(holder) AND expires_at > rollcall_now();

-- name: LeaseReleaseIfHeld :execrows
-- Ends the epoch with the lease: a renewal that began before the release and arrives after it must not revive the lease. A fenced
-- holder has an older epoch, and its release frees the lane all the same.
UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now(), wanted = false
WHERE customer_id = sqlc.arg(customer_id) AND holder = sqlc.arg(holder) AND epoch >= sqlc.arg(epoch);

-- name: LeaseFence :exec
-- Has the holder's next page rejected. The lane stays taken until the holder releases it or the lease ends: requests that have left
-- are still on their way, and the next holder's requests must not overtake them.
UPDATE customer_leases SET epoch = epoch + 1, fenced_epoch = epoch + 1 WHERE customer_id = $1;
