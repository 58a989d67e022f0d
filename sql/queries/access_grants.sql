-- name: GrantAdd :one
-- Life 0: it never expires.
WITH customer AS (
    SELECT c.customer_id FROM sync_configs c
    WHERE c.customer_id = sqlc.narg(customer_id)::text AND c.offboarded_at IS NULL
    FOR SHARE) -- so that an offboarding finds the row
INSERT INTO access_grants (kind, name, customer_id, rights, secret_hash, created_at, expires_at)
SELECT sqlc.arg(kind)::text, sqlc.narg(name)::text, sqlc.narg(customer_id)::text, sqlc.arg(rights)::text[], sqlc.arg(secret_hash)::bytea,
       rollcall_now(), rollcall_now() + nullif(sqlc.arg(life)::interval, interval '0')
WHERE sqlc.narg(customer_id)::text IS NULL OR EXISTS (SELECT FROM customer)
ON CONFLICT (name) WHERE kind = 'token' AND revoked_at IS NULL DO NOTHING
RETURNING id, created_at, expires_at;
