-- name: SealingKey :one
-- SealingKey returns which of the keeper's keys seals new keys; "" before the first rotation, while the key of SECRETS_URL does.
SELECT coalesce(key_id, '')::text AS key_id FROM sealing_key;
