-- name: ContactTransactionsPage :many
-- The platform's contacts, newest first, by keyset. Without a state: of every one.
SELECT d.id, d.reference_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since, d.submitted_at,
       d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id,
       coalesce(d.recovery_path, '')::text AS recovery_path, coalesce(d.review_reason, '')::text AS review_reason,
       coalesce(d.last_error, '')::text AS last_error, coalesce(d.close_reason, '')::text AS close_reason, d.partner_modified_at, d.compare_wanted_at,
       d.created_at, d.status_at, false AS is_attempting
FROM virtuous_contact_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id < sqlc.arg(before)
ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: ContactTransactionsPageInState :many
-- As ContactTransactionsPage, by an index of its own.
SELECT d.id, d.reference_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since, d.submitted_at,
       d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id,
       coalesce(d.recovery_path, '')::text AS recovery_path, coalesce(d.review_reason, '')::text AS review_reason,
       coalesce(d.last_error, '')::text AS last_error, coalesce(d.close_reason, '')::text AS close_reason, d.partner_modified_at, d.compare_wanted_at,
       d.created_at, d.status_at, false AS is_attempting
FROM virtuous_contact_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.status = sqlc.arg(status)::text AND d.id < sqlc.arg(before)
ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: ContactTransactionOf :one
-- A contact by the platform's reference, of several sources that of the last one, or by its own id. is_attempting as in DonationOf.
SELECT d.id, d.reference_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since, d.submitted_at,
       d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id,
       coalesce(d.recovery_path, '')::text AS recovery_path, coalesce(d.review_reason, '')::text AS review_reason,
       coalesce(d.last_error, '')::text AS last_error, coalesce(d.close_reason, '')::text AS close_reason, d.partner_modified_at, d.compare_wanted_at,
       d.created_at, d.status_at,
       EXISTS (SELECT FROM giving_leases l WHERE l.customer_id = d.customer_id AND l.epoch = d.attempt_epoch
                 AND l.expires_at > rollcall_now())::boolean AS is_attempting
FROM virtuous_contact_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = coalesce(
    (SELECT n.id FROM virtuous_contact_queue n WHERE n.customer_id = sqlc.arg(customer_id) AND n.reference_id = sqlc.narg(reference_id)::text
     ORDER BY n.id DESC LIMIT 1),
    sqlc.narg(id)::bigint);

-- name: ContactsOfVirtuousContact :many
-- The platform's contacts that are one contact at Virtuous.
SELECT reference_id, status FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND virtuous_contact_id IS NOT NULL AND virtuous_contact_id = sqlc.arg(virtuous_contact_id)::bigint ORDER BY id;

-- name: ContactRetryIf :execrows
-- As DonationRetryIf.
UPDATE virtuous_contact_queue
SET status = 'pending', attempts = 0, unsent_attempts = 0, next_attempt_at = rollcall_now(), next_lookup_at = NULL, review_reason = NULL, last_error = NULL,
    submitted_at = NULL, unanswered_since = CASE WHEN status = 'needs_review' THEN rollcall_now() ELSE unanswered_since END, status_at = rollcall_now(),
    updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = sqlc.arg(was)::text AND status IN ('failed', 'needs_review');

-- name: ContactCloseIf :execrows
-- As DonationCloseIf.
UPDATE virtuous_contact_queue d
SET status = 'closed', close_reason = sqlc.arg(reason)::text, next_attempt_at = NULL, next_lookup_at = NULL, attempt_started_at = NULL, attempt_epoch = NULL,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE d.looked_up_at END, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = sqlc.arg(id) AND d.status = sqlc.arg(was)::text AND d.status IN ('pending', 'failed', 'needs_review')
  AND d.attempts = sqlc.arg(attempts)::integer AND d.unanswered_since IS NOT DISTINCT FROM sqlc.narg(unanswered_since)::timestamptz
  AND NOT EXISTS (SELECT FROM giving_leases l WHERE l.customer_id = d.customer_id AND l.epoch = d.attempt_epoch AND l.expires_at > rollcall_now());
