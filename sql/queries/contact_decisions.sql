-- name: ContactLockByID :one
-- Locks a contact of the platform, in whatever state it is; 0: it has no contact at Virtuous.
SELECT coalesce(virtuous_contact_id, 0)::bigint AS virtuous_contact_id FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) FOR UPDATE;

-- name: ContactsLockOfReference :many
-- Locks the platform's contacts with a reference, of every source that the customer had.
SELECT id, coalesce(virtuous_contact_id, 0)::bigint AS virtuous_contact_id FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND reference_id = sqlc.arg(reference_id) ORDER BY id FOR UPDATE;

-- name: ContactsLockOfVirtuous :many
-- Locks the platform's contacts that are one contact at Virtuous. One that was merged stands for the contact that remains.
SELECT q.id, coalesce(q.virtuous_contact_id, 0)::bigint AS virtuous_contact_id FROM virtuous_contact_queue q
WHERE q.customer_id = sqlc.arg(customer_id) AND q.virtuous_contact_id IS NOT NULL AND q.virtuous_contact_id = coalesce(
    (SELECT c.merged_into FROM partner_contacts c
     WHERE c.customer_id = sqlc.arg(customer_id) AND c.virtuous_contact_id = sqlc.arg(virtuous_contact_id)::bigint AND c.merged_into IS NOT NULL LIMIT 1),
    sqlc.arg(virtuous_contact_id)::bigint)
ORDER BY q.id FOR UPDATE;

-- name: ContactDifferencesOpenOf :many
-- What is not settled of contacts of the platform, without the values.
SELECT d.contact_id, d.field, d.state, coalesce(d.reason, '')::text AS reason, coalesce(d.other_contact_id, 0)::bigint AS other_contact_id, d.state_at
FROM contact_differences d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.contact_id = ANY(sqlc.arg(contact_ids)::bigint[]) AND d.state <> 'settled'
ORDER BY d.contact_id, d.field;

-- name: ContactDifferencesOpenAt :many
-- What is not settled of the platform's contacts that are these of Virtuous' contacts, without the values.
SELECT q.virtuous_contact_id::bigint AS virtuous_contact_id, q.reference_id, d.field, d.state, coalesce(d.reason, '')::text AS reason,
       coalesce(d.other_contact_id, 0)::bigint AS other_contact_id, d.state_at
FROM virtuous_contact_queue q
JOIN contact_differences d ON d.customer_id = q.customer_id AND d.contact_id = q.id AND d.state <> 'settled'
WHERE q.customer_id = sqlc.arg(customer_id) AND q.virtuous_contact_id IS NOT NULL AND q.virtuous_contact_id = ANY(sqlc.arg(virtuous_contact_ids)::bigint[])
ORDER BY q.virtuous_contact_id, q.id, d.field;
