-- name: DestinationHoldLater :exec
-- Keeps the longer of two holds, unless they are of different destinations.
INSERT INTO destination_holds AS h (customer_id, destination, until)
SELECT c.customer_id, c.destination, rollcall_now() + sqlc.arg(delay)::interval FROM sync_configs c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.destination IS NOT NULL
ON CONFLICT (customer_id) DO UPDATE
SET until = CASE WHEN h.destination = excluded.destination THEN greatest(h.until, excluded.until) ELSE excluded.until END,
    destination = excluded.destination;

-- name: SharedContactNoteIfAny :exec
-- Stores two users who share one record at the destination; one of them is a user of the page. Each id is looked up by itself,
-- through the index. Ids of our own are never shared. Ids that were given before since are another system's.
INSERT INTO shared_contacts (customer_id, vomo_user_id, other_vomo_user_id, noted_at)
SELECT sqlc.arg(customer_id), v.id, o.other, rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(external_ids)::text[]) AS external_id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id AS other FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.external_user_id = v.external_id AND u.vomo_user_id <> v.id
      AND u.last_synced_at >= sqlc.arg(since)::timestamptz LIMIT 1) o
WHERE v.external_id <> 'vomo-' || v.id
LIMIT 1
ON CONFLICT (customer_id) DO NOTHING;

-- name: SharedContactsOver :many
-- Returns the customers whose stored pair no longer shares an id.
SELECT s.customer_id FROM shared_contacts s
WHERE NOT EXISTS (
    SELECT FROM user_mappings m JOIN user_mappings n ON n.customer_id = m.customer_id AND n.external_user_id = m.external_user_id
    WHERE m.customer_id = s.customer_id AND m.vomo_user_id = s.vomo_user_id AND n.vomo_user_id = s.other_vomo_user_id);

-- name: SharedContactForget :exec
DELETE FROM shared_contacts WHERE customer_id = $1;

-- name: SharedContactFindAnother :exec
-- Runs only after a stored pair stopped sharing an id, because it reads all of the customer's mappings.
INSERT INTO shared_contacts (customer_id, vomo_user_id, other_vomo_user_id, noted_at)
SELECT u.customer_id, min(u.vomo_user_id), max(u.vomo_user_id), rollcall_now() FROM user_mappings u
WHERE u.customer_id = sqlc.arg(customer_id) GROUP BY u.customer_id, u.external_user_id HAVING count(*) > 1 LIMIT 1
ON CONFLICT (customer_id) DO NOTHING;
