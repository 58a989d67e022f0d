-- name: VirtuousKey :one
-- What a customer's requests are sent with. Without a row in virtuous_oauth it is an API key.
SELECT k.sealed,
       (o.customer_id IS NOT NULL)::boolean AS is_oauth,
       coalesce(o.version, '00000000-0000-0000-0000-000000000000')::uuid AS version,
       coalesce(o.refresh_at <= rollcall_now(), false)::boolean AS is_due,
       coalesce(o.access_expires_at <= rollcall_now(), false)::boolean AS is_expired,
       coalesce(o.refreshed_at > rollcall_now() - interval '1 minute', false)::boolean AS is_new,
       coalesce(o.leased_until > rollcall_now(), false)::boolean AS is_leased,
       coalesce(CASE WHEN o.retry_at > rollcall_now() THEN o.failure END, '')::text AS failure
FROM credentials k LEFT JOIN virtuous_oauth o USING (customer_id)
WHERE k.customer_id = sqlc.arg(customer_id)::text AND k.name = 'virtuous_token';

-- name: OAuthClaimIfCurrent :one
-- Leases the refresh of a version. The version is compared in the row that is locked: the token read beside it is of that version then.
UPDATE virtuous_oauth o SET leased_until = rollcall_now() + sqlc.arg(lease)::interval
WHERE o.customer_id = sqlc.arg(customer_id) AND o.version = sqlc.arg(version)
  AND (o.leased_until IS NULL OR o.leased_until <= rollcall_now()) AND (o.retry_at IS NULL OR o.retry_at <= rollcall_now())
RETURNING o.leased_until::timestamptz AS leased_until,
          coalesce((SELECT k.sealed FROM credentials k WHERE k.customer_id = o.customer_id AND k.name = 'virtuous_refresh_token'), '')::bytea AS sealed;

-- name: OAuthSaveIfCurrent :execrows
-- Replaces both tokens of a version in one statement; 2 rows, or 0 if that version is no more. It asks for no lease: no other process has this pair.
-- updated_at stays, because refreshed tokens are no new credential: they end no wait that one would end.
WITH pair AS (
    UPDATE virtuous_oauth o
    SET version = gen_random_uuid(), access_expires_at = rollcall_now() + sqlc.arg(life)::interval,
        refresh_at = rollcall_now() + sqlc.arg(refresh_after)::interval, refreshed_at = rollcall_now(), leased_until = NULL, failure = NULL, retry_at = NULL
    WHERE o.customer_id = sqlc.arg(customer_id) AND o.version = sqlc.arg(version)
    RETURNING o.customer_id
)
UPDATE credentials k
SET sealed = CASE WHEN k.name = 'virtuous_token' THEN sqlc.arg(access_sealed)::bytea ELSE sqlc.arg(refresh_sealed)::bytea END
FROM pair WHERE k.customer_id = pair.customer_id AND k.name IN ('virtuous_token', 'virtuous_refresh_token');

-- name: OAuthFailIfLeased :execrows
-- Ends a lease with a failure. A refused token is tried again when the hourly try of a rejected key comes. Each further request of an account
-- with two-step verification would send its owner another code: it waits for a new token.
UPDATE virtuous_oauth
SET leased_until = NULL, failure = sqlc.arg(failure)::text,
    retry_at = CASE sqlc.arg(failure)::text WHEN 'verification' THEN 'infinity'
                                            WHEN 'refused' THEN rollcall_now() + interval '30 minutes'
                                            ELSE rollcall_now() + greatest(sqlc.arg(pause)::interval, interval '1 minute') END
WHERE customer_id = sqlc.arg(customer_id) AND version = sqlc.arg(version) AND leased_until = sqlc.arg(leased_until)::timestamptz;

-- name: OAuthReleaseIfLeased :exec
-- Ends a lease under which nothing was asked.
UPDATE virtuous_oauth SET leased_until = NULL
WHERE customer_id = sqlc.arg(customer_id) AND version = sqlc.arg(version) AND leased_until = sqlc.arg(leased_until)::timestamptz;

-- name: OAuthUpsert :exec
INSERT INTO virtuous_oauth (customer_id, access_expires_at, refresh_at, refreshed_at)
VALUES (sqlc.arg(customer_id), rollcall_now() + sqlc.arg(life)::interval, rollcall_now() + sqlc.arg(refresh_after)::interval, rollcall_now())
ON CONFLICT (customer_id) DO UPDATE
SET version = excluded.version, access_expires_at = excluded.access_expires_at, refresh_at = excluded.refresh_at, refreshed_at = excluded.refreshed_at,
    leased_until = NULL, failure = NULL, retry_at = NULL;

-- name: OAuthForget :exec
-- The access token stays: it is replaced, or deleted, as an API key is.
WITH pair AS (DELETE FROM virtuous_oauth o WHERE o.customer_id = $1)
DELETE FROM credentials k WHERE k.customer_id = $1 AND k.name IN ('virtuous_refresh_token', 'virtuous_refresh_token_given');

-- name: OAuthTryNow :exec
-- Virtuous rejected the credentials of many at once, and does no more.
UPDATE virtuous_oauth SET failure = NULL, retry_at = NULL WHERE customer_id = $1 AND failure = 'refused';

-- name: OAuthOf :one
SELECT access_expires_at, refreshed_at FROM virtuous_oauth WHERE customer_id = $1;
