-- name: CountParticipations :one
-- CountParticipations returns of how many of the customer's users the participations were read.
SELECT count(*) FROM participations WHERE customer_id = sqlc.arg(customer);
