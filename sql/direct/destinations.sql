-- name: DestinationHold :one
-- DestinationHold returns how long the customer's destination must still be left alone; 0 if it may be asked.
SELECT coalesce((SELECT h.until - rollcall_now() FROM destination_holds h JOIN sync_configs c USING (customer_id)
                 WHERE h.customer_id = sqlc.arg(customer) AND h.destination = c.destination AND h.until > rollcall_now()),
                '0')::interval AS remaining;

-- name: SharedContact :one
-- SharedContact returns the customer's noted pair of users to which the destination gave one id; ErrNotFound if none is noted.
SELECT s.vomo_user_id, s.other_vomo_user_id, m.external_user_id
FROM shared_contacts s JOIN user_mappings m ON m.customer_id = s.customer_id AND m.vomo_user_id = s.vomo_user_id
WHERE s.customer_id = sqlc.arg(customer);
