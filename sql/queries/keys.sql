-- name: CustomerKeyGet :one
SELECT key_id, ''::text AS public, sealed_key AS sealed FROM customer_keys WHERE customer_id = $1;

-- name: InstallationKeyGet :one
SELECT key_id, coalesce(public_key, '')::text AS public, sealed_key AS sealed FROM installation_keys WHERE name = $1;

-- name: SealingKeyLock :one
SELECT coalesce(key_id, '')::text AS key_id FROM sealing_key FOR UPDATE;

-- name: SealingKeySet :exec
UPDATE sealing_key SET key_id = sqlc.arg(key_id)::text, changed_at = rollcall_now();

-- name: CustomerKeyInsertIfAbsent :exec
-- Adds nothing if another key seals by now. The lock orders this row and the beginning of a rotation.
WITH sealing AS (SELECT key_id FROM sealing_key FOR SHARE)
INSERT INTO customer_keys (customer_id, key_id, sealed_key, created_at)
SELECT sqlc.arg(customer_id), sqlc.arg(key_id), sqlc.arg(sealed_key), rollcall_now() FROM sealing
WHERE coalesce(sealing.key_id, sqlc.arg(key_id)) = sqlc.arg(key_id)
ON CONFLICT (customer_id) DO NOTHING;

-- name: InstallationKeyInsertIfAbsent :exec
WITH sealing AS (SELECT key_id FROM sealing_key FOR SHARE)
INSERT INTO installation_keys (name, key_id, public_key, sealed_key, created_at)
SELECT sqlc.arg(name), sqlc.arg(key_id), nullif(sqlc.arg(public_key)::text, ''), sqlc.arg(sealed_key), rollcall_now() FROM sealing
WHERE coalesce(sealing.key_id, sqlc.arg(key_id)) = sqlc.arg(key_id)
ON CONFLICT (name) DO NOTHING;

-- name: CustomerKeyPage :many
SELECT customer_id, key_id, sealed_key FROM customer_keys
WHERE customer_id > sqlc.arg(after) ORDER BY customer_id LIMIT sqlc.arg(page_size);

-- name: InstallationKeyList :many
SELECT name, key_id, public_key, sealed_key FROM installation_keys ORDER BY name;

-- name: CustomerKeyResealIfSame :execrows
-- Replaces only the sealing that was read: a key that was destroyed meanwhile stays destroyed.
UPDATE customer_keys SET key_id = sqlc.arg(key_id), sealed_key = sqlc.arg(sealed_key)
WHERE customer_id = sqlc.arg(customer_id) AND sealed_key = sqlc.arg(was);

-- name: InstallationKeyResealIfSame :execrows
UPDATE installation_keys SET key_id = sqlc.arg(key_id), sealed_key = sqlc.arg(sealed_key)
WHERE name = sqlc.arg(name) AND sealed_key = sqlc.arg(was);

-- name: KeyIDCounts :many
SELECT key_id, count(*) AS keys FROM (
    SELECT key_id FROM customer_keys UNION ALL SELECT key_id FROM installation_keys) every_key
GROUP BY key_id ORDER BY key_id;
