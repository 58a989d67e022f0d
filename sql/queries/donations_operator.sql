-- name: DonationsPage :many
-- A customer's donations, newest first, by keyset. What is sealed is needed for a review alone.
SELECT d.id, d.platform_donation_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since,
       d.submitted_at, d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_gift_id, 0)::bigint AS virtuous_gift_id,
       coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id, coalesce(d.recovery_path, '')::text AS recovery_path,
       coalesce(d.review_reason, '')::text AS review_reason, coalesce(d.last_error, '')::text AS last_error,
       coalesce(d.close_reason, '')::text AS close_reason, d.created_at, d.status_at, d.donation_sealed
FROM virtuous_donation_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id < sqlc.arg(before)
ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: DonationsPageInState :many
-- As DonationsPage, by an index of its own: a state that few donations have may be that of the oldest ones.
SELECT d.id, d.platform_donation_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since,
       d.submitted_at, d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_gift_id, 0)::bigint AS virtuous_gift_id,
       coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id, coalesce(d.recovery_path, '')::text AS recovery_path,
       coalesce(d.review_reason, '')::text AS review_reason, coalesce(d.last_error, '')::text AS last_error,
       coalesce(d.close_reason, '')::text AS close_reason, d.created_at, d.status_at, d.donation_sealed
FROM virtuous_donation_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.status = sqlc.arg(status)::text AND d.id < sqlc.arg(before)
ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: DonationOf :one
-- A donation by the platform's id, or by its own. is_attempting: the lane's holder that noted the attempt still has the lane.
SELECT d.id, d.platform_donation_id, d.status, d.transaction_source, d.attempts, d.next_attempt_at, d.attempt_started_at, d.unanswered_since,
       d.submitted_at, d.repeated, d.looked_up_at, d.next_lookup_at, d.confirmed_at, coalesce(d.virtuous_gift_id, 0)::bigint AS virtuous_gift_id,
       coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id, coalesce(d.recovery_path, '')::text AS recovery_path,
       coalesce(d.review_reason, '')::text AS review_reason, coalesce(d.last_error, '')::text AS last_error,
       coalesce(d.close_reason, '')::text AS close_reason, d.created_at, d.status_at, d.donation_sealed,
       EXISTS (SELECT FROM giving_leases l WHERE l.customer_id = d.customer_id AND l.epoch = d.attempt_epoch
                 AND l.expires_at > rollcall_now())::boolean AS is_attempting
FROM virtuous_donation_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = coalesce(
    (SELECT n.id FROM virtuous_donation_queue n WHERE n.customer_id = sqlc.arg(customer_id) AND n.platform_donation_id = sqlc.narg(platform_donation_id)::text),
    sqlc.narg(id)::bigint);

-- name: DonationRetryIf :execrows
-- A rejected donation is sent again, and so is one in review: its gift is looked up first, and its time without a gift begins anew.
UPDATE virtuous_donation_queue
SET status = 'pending', attempts = 0, unsent_attempts = 0, next_attempt_at = rollcall_now(), next_lookup_at = NULL, review_reason = NULL, last_error = NULL, submitted_at = NULL,
    unanswered_since = CASE WHEN status = 'needs_review' THEN rollcall_now() ELSE unanswered_since END, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = sqlc.arg(was)::text AND status IN ('failed', 'needs_review');

-- name: DonationCloseIf :execrows
-- The donation is as it was read, and no attempt is under way.
UPDATE virtuous_donation_queue d
SET status = 'closed', close_reason = sqlc.arg(reason)::text, next_attempt_at = NULL, next_lookup_at = NULL, attempt_started_at = NULL, attempt_epoch = NULL,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE d.looked_up_at END, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = sqlc.arg(id) AND d.status = sqlc.arg(was)::text AND d.status IN ('pending', 'failed', 'needs_review')
  AND d.attempts = sqlc.arg(attempts)::integer AND d.unanswered_since IS NOT DISTINCT FROM sqlc.narg(unanswered_since)::timestamptz
  AND NOT EXISTS (SELECT FROM giving_leases l WHERE l.customer_id = d.customer_id AND l.epoch = d.attempt_epoch AND l.expires_at > rollcall_now());

-- name: PartnerGiftsPage :many
SELECT g.virtuous_gift_id, g.state, g.sync_state, coalesce(g.amount::text, '')::text AS amount, coalesce(g.currency_code, '')::text AS currency_code,
       coalesce(to_char(g.gift_date, 'YYYY-MM-DD'), '')::text AS gift_date, coalesce(g.gift_type, '')::text AS gift_type,
       coalesce(g.contact_id, 0)::bigint AS contact_id, coalesce(g.transaction_source, '')::text AS transaction_source,
       coalesce(g.transaction_id, '')::text AS transaction_id, coalesce(g.platform_donation_id, '')::text AS platform_donation_id, g.modified_at,
       g.created_at, g.deleted_at, g.last_sync_at, coalesce(g.sealed, '')::bytea AS sealed
FROM partner_gifts g
WHERE g.customer_id = sqlc.arg(customer_id) AND g.virtuous_gift_id < sqlc.arg(before) AND g.virtuous_gift_id >= sqlc.arg(from_id)
ORDER BY g.virtuous_gift_id DESC LIMIT sqlc.arg(at_most);

-- name: PartnerContactsPage :many
SELECT c.virtuous_contact_id, c.state, c.sync_state, coalesce(c.contact_type, '')::text AS contact_type, coalesce(c.merged_into, 0)::bigint AS merged_into,
       c.modified_at, c.created_at, c.last_sync_at, c.sealed
FROM partner_contacts c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.virtuous_contact_id < sqlc.arg(before) AND c.virtuous_contact_id >= sqlc.arg(from_id)
ORDER BY c.virtuous_contact_id DESC LIMIT sqlc.arg(at_most);

-- name: ReconciliationLogPage :many
-- Oldest first, by keyset.
SELECT coalesce(l.id, 0)::bigint AS id, l.run_at, l.category, coalesce(l.entity, '')::text AS entity, coalesce(l.platform_record_id, '')::text AS platform_record_id,
       coalesce(l.virtuous_record_id, 0)::bigint AS virtuous_record_id, l.resolution, l.details, coalesce(l.job_id, 0)::bigint AS job_id,
       coalesce(l.trace_id, '')::text AS trace_id
FROM virtuous_reconciliation_log l
WHERE l.customer_id = sqlc.arg(customer_id) AND (l.run_at, l.id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after_id)::bigint)
  AND l.run_at < sqlc.arg(until)::timestamptz AND (sqlc.narg(category)::text IS NULL OR l.category = sqlc.narg(category)::text)
ORDER BY l.run_at, l.id LIMIT sqlc.arg(at_most);
