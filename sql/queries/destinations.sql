-- name: DestinationHoldLater :exec
-- The longer of two holds counts, unless they are of different destinations.
INSERT INTO destination_holds AS h (customer_id, destination, until)
SELECT c.customer_id, c.destination, rollcall_now() + sqlc.arg(delay)::interval FROM sync_configs c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.destination IS NOT NULL
ON CONFLICT (customer_id) DO UPDATE
SET until = CASE WHEN h.destination = excluded.destination THEN greatest(h.until, excluded.until) ELSE excluded.until END,
    destination = excluded.destination;

-- name: DestinationHoldLeft :one
-- How long the customer's destination is still to be left alone.
SELECT (h.until - rollcall_now())::interval AS remaining FROM destination_holds h JOIN sync_configs c USING (customer_id)
WHERE h.customer_id = $1 AND h.destination = c.destination AND h.until > rollcall_now();

-- name: SharedRecord :one
-- Two users who share one record at the destination, one of them among these of a page. Each id is looked up by itself,
-- through the index. Ids that are only our own are never shared.
SELECT v.id::text AS vomo_id, o.other::text AS other_vomo_id
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(external_ids)::text[]) AS external_id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id AS other FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.external_user_id = v.external_id AND u.vomo_user_id <> v.id LIMIT 1) o
WHERE v.external_id <> 'vomo-' || v.id
LIMIT 1;

-- name: SharedRecordOf :one
-- The two users that the active alert names, and whether they share a record still.
SELECT coalesce(a.details->>'vomoUserId', '')::text AS vomo_id, coalesce(a.details->>'otherVomoUserId', '')::text AS other_vomo_id,
       EXISTS (SELECT FROM user_mappings m JOIN user_mappings n ON n.customer_id = m.customer_id AND n.external_user_id = m.external_user_id
               WHERE m.customer_id = a.customer_id AND m.vomo_user_id = a.details->>'vomoUserId'
                 AND n.vomo_user_id = a.details->>'otherVomoUserId' AND n.vomo_user_id <> m.vomo_user_id)::boolean AS shared
FROM alerts a WHERE a.customer_id = sqlc.arg(customer_id) AND a.type = sqlc.arg(type) AND a.cleared_at IS NULL;

-- name: SharedRecordAny :one
-- Asked only when the two of an alert share nothing any more: it reads all of the customer's mappings.
SELECT min(vomo_user_id)::text AS vomo_id, max(vomo_user_id)::text AS other_vomo_id FROM user_mappings
WHERE customer_id = $1 GROUP BY external_user_id HAVING count(*) > 1 LIMIT 1;
