-- name: SearchUsers :many
-- The customers of which a user with this id is mirrored, or has a letter. It walks the customers, and looks up the id with each: an index over all
-- customers would cost each write of a user. The limits inside keep the planner from reading the tables whole.
SELECT s.customer_id FROM sync_configs s
CROSS JOIN LATERAL (
    (SELECT FROM user_mappings m WHERE m.customer_id = s.customer_id AND m.vomo_user_id = sqlc.arg(record_id)::text LIMIT 1)
    UNION ALL
    (SELECT FROM dead_letters d WHERE d.customer_id = s.customer_id AND d.record_id IS NOT NULL AND d.record_id = sqlc.arg(record_id)::text
       AND d.kind IN ('user', 'user_delete', 'writeback') LIMIT 1)
    LIMIT 1) found
WHERE sqlc.narg(customer_id)::text IS NULL OR s.customer_id = sqlc.narg(customer_id)
ORDER BY s.customer_id LIMIT sqlc.arg(at_most);

-- name: SearchUsersByEmail :many
-- The users who had this address when they were written last. The address is lower-cased and trimmed.
SELECT s.customer_id, found.vomo_user_id FROM sync_configs s
CROSS JOIN LATERAL (
    SELECT m.vomo_user_id FROM user_mappings m WHERE m.customer_id = s.customer_id AND m.last_known_email = sqlc.arg(email)::text
    LIMIT sqlc.arg(at_most)) found
WHERE sqlc.narg(customer_id)::text IS NULL OR s.customer_id = sqlc.narg(customer_id)
ORDER BY s.customer_id LIMIT sqlc.arg(at_most);

-- name: SearchGiving :many
-- The donations, gifts and contacts with this id, as the platform's id or as that of Virtuous; virtuous_id 0 is that of none.
SELECT v.customer_id, found.kind::text AS kind FROM virtuous_configs v
CROSS JOIN LATERAL (
    (SELECT 'gift' AS kind FROM virtuous_donation_queue d
     WHERE d.customer_id = v.customer_id AND d.platform_donation_id = sqlc.arg(record_id)::text LIMIT 1)
    UNION
    (SELECT 'gift' FROM partner_gifts g WHERE g.customer_id = v.customer_id AND g.virtuous_gift_id = sqlc.arg(virtuous_id)::bigint LIMIT 1)
    UNION
    (SELECT 'contact' FROM virtuous_contact_queue q WHERE q.customer_id = v.customer_id AND q.reference_id = sqlc.arg(record_id)::text LIMIT 1)
    UNION
    (SELECT 'contact' FROM partner_contacts c WHERE c.customer_id = v.customer_id AND c.virtuous_contact_id = sqlc.arg(virtuous_id)::bigint LIMIT 1)) found
WHERE sqlc.narg(customer_id)::text IS NULL OR v.customer_id = sqlc.narg(customer_id)
ORDER BY v.customer_id, kind LIMIT sqlc.arg(at_most);

-- name: SearchDonationsByTrace :many
-- The donations whose trace begins so.
SELECT d.customer_id, d.platform_donation_id FROM virtuous_donation_queue d
WHERE d.trace_id IS NOT NULL AND d.trace_id COLLATE "C" >= sqlc.arg(lowest)::text AND d.trace_id COLLATE "C" < sqlc.arg(above)::text
  AND (sqlc.narg(customer_id)::text IS NULL OR d.customer_id = sqlc.narg(customer_id))
ORDER BY d.trace_id COLLATE "C" LIMIT sqlc.arg(at_most);
