-- name: GrantBySecret :one
-- GrantBySecret returns the grant with a secret; ErrNotFound if there is none, or if it has ended.
SELECT id, kind, name, customer_id, rights, expires_at FROM access_grants
WHERE secret_hash = sqlc.arg(secret_hash)::bytea AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > rollcall_now());

-- name: GrantByID :one
-- GrantByID returns the grant of a session; ErrNotFound if it has ended.
SELECT id, kind, name, customer_id, rights, expires_at FROM access_grants
WHERE id = sqlc.arg(id)::bigint AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > rollcall_now());

-- name: NoteGrantUsed :exec
-- NoteGrantUsed notes that a grant is used. Within a minute after the last time it writes nothing.
UPDATE access_grants SET used_at = rollcall_now()
WHERE id = sqlc.arg(id)::bigint AND (used_at IS NULL OR used_at < rollcall_now() - interval '1 minute');

-- name: Grants :many
-- Grants lists API tokens or links, newest first; of one customer, or of all if it is null. Those that ended are listed until they are
-- forgotten.
SELECT id, name, customer_id, rights, created_at, expires_at, revoked_at, used_at,
       (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > rollcall_now()))::boolean AS valid
FROM access_grants
WHERE kind = sqlc.arg(kind)::text AND (sqlc.narg(customer_id)::text IS NULL OR customer_id = sqlc.narg(customer_id))
  AND (sqlc.narg(before)::bigint IS NULL OR id < sqlc.narg(before))
ORDER BY id DESC LIMIT sqlc.arg(at_most)::integer;

-- name: RevokeToken :one
-- RevokeToken ends the API token with a name, and returns its id; ErrNotFound if there is none that is not revoked.
UPDATE access_grants SET revoked_at = rollcall_now()
WHERE kind = 'token' AND name = sqlc.arg(name)::text AND revoked_at IS NULL RETURNING id;

-- name: RevokeLink :one
-- RevokeLink ends a customer's link, and returns the customer; ErrNotFound if there is no such link that is not revoked.
UPDATE access_grants SET revoked_at = rollcall_now()
WHERE kind = 'link' AND id = sqlc.arg(id)::bigint AND revoked_at IS NULL RETURNING customer_id;

-- name: ForgetGrants :execrows
-- ForgetGrants deletes up to atMost API tokens and links that ended before age, and returns how many it deleted.
DELETE FROM access_grants
WHERE id = ANY(ARRAY(
    SELECT g.id FROM access_grants g WHERE least(g.revoked_at, g.expires_at) < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY least(g.revoked_at, g.expires_at) LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));
