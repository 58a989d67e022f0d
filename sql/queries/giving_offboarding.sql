-- name: VirtuousOffboard :exec
-- Nothing that the settings may say of people stays.
UPDATE virtuous_configs
SET enabled = false, disabled_reason = 'removed', removed_at = coalesce(removed_at, rollcall_now()), defaults = '{}', imports_url = NULL,
    create_webhook = false, updated_at = rollcall_now()
WHERE customer_id = $1;

-- name: VirtuousForget :exec
WITH keys AS (DELETE FROM virtuous_keys k WHERE k.customer_id = $1),
     held AS (DELETE FROM giving_holds h WHERE h.customer_id = $1),
     due AS (DELETE FROM giving_reconciliations d WHERE d.customer_id = $1)
DELETE FROM virtuous_catalogs c WHERE c.customer_id = $1;

-- name: VirtuousCheckpointsForget :exec
WITH unread AS (UPDATE virtuous_configs v SET read_since = NULL WHERE v.customer_id = $1)
DELETE FROM sync_checkpoints c WHERE c.customer_id = $1 AND c.resource IN ('virtuous_gifts', 'virtuous_contacts');

-- name: SubscriptionsOrphan :many
-- Ends the customer's subscriptions that cannot be deleted at Virtuous, and returns their ids.
UPDATE webhook_subscriptions
SET state = 'orphaned', ended_at = rollcall_now(), next_attempt_at = NULL, remove_until = NULL, updated_at = rollcall_now()
WHERE customer_id = $1 AND (state IN ('requested', 'active') OR (state = 'removing' AND key_sealed IS NULL))
RETURNING coalesce(virtuous_webhook_id, 0)::bigint AS virtuous_webhook_id;

-- name: SubscriptionsOrphaned :many
SELECT coalesce(virtuous_webhook_id, 0)::bigint AS virtuous_webhook_id FROM webhook_subscriptions WHERE customer_id = $1 AND state = 'orphaned' ORDER BY id;

-- name: DonationsClose :execrows
-- Closes a batch of the customer's donations in a state, without an operator's decision. Pending ones can be closed only if an attempt may have
-- been accepted.
UPDATE virtuous_donation_queue d
SET status = 'closed', close_reason = sqlc.arg(reason)::text, next_attempt_at = NULL, next_lookup_at = NULL, attempt_started_at = NULL, attempt_epoch = NULL,
    status_at = rollcall_now(), updated_at = rollcall_now()
WHERE d.customer_id = sqlc.arg(customer_id)
  AND (d.status = ANY(sqlc.arg(statuses)::text[]) OR (sqlc.arg(unanswered)::boolean AND d.status = 'pending' AND d.unanswered_since IS NOT NULL))
  AND d.id = ANY(ARRAY(
    (SELECT p.id FROM virtuous_donation_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending'
       AND ('pending' = ANY(sqlc.arg(statuses)::text[]) OR (sqlc.arg(unanswered)::boolean AND p.unanswered_since IS NOT NULL))
     ORDER BY p.next_attempt_at, p.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT s.id FROM virtuous_donation_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted'
       AND 'submitted' = ANY(sqlc.arg(statuses)::text[]) ORDER BY s.submitted_at, s.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT r.id FROM virtuous_donation_queue r WHERE r.customer_id = sqlc.arg(customer_id) AND r.status = 'needs_review'
       AND 'needs_review' = ANY(sqlc.arg(statuses)::text[]) ORDER BY r.next_lookup_at, r.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT f.id FROM virtuous_donation_queue f WHERE f.customer_id = sqlc.arg(customer_id) AND f.status = 'failed'
       AND 'failed' = ANY(sqlc.arg(statuses)::text[]) ORDER BY f.status_at, f.id LIMIT sqlc.arg(at_most))
    LIMIT sqlc.arg(at_most)));

-- name: DonationsPurge :execrows
DELETE FROM virtuous_donation_queue d WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = ANY(ARRAY(
    SELECT q.id FROM virtuous_donation_queue q WHERE q.customer_id = sqlc.arg(customer_id) ORDER BY q.id LIMIT sqlc.arg(at_most)));

-- name: GiftsForget :execrows
DELETE FROM partner_gifts g WHERE g.customer_id = sqlc.arg(customer_id) AND g.virtuous_gift_id = ANY(ARRAY(
    SELECT o.virtuous_gift_id FROM partner_gifts o WHERE o.customer_id = sqlc.arg(customer_id) ORDER BY o.virtuous_gift_id LIMIT sqlc.arg(at_most)));

-- name: ContactsForget :execrows
DELETE FROM partner_contacts c WHERE c.customer_id = sqlc.arg(customer_id) AND c.virtuous_contact_id = ANY(ARRAY(
    SELECT o.virtuous_contact_id FROM partner_contacts o WHERE o.customer_id = sqlc.arg(customer_id) ORDER BY o.virtuous_contact_id LIMIT sqlc.arg(at_most)));

-- name: ReferencesForget :execrows
DELETE FROM partner_references r WHERE r.ctid = ANY(ARRAY(
    SELECT o.ctid FROM partner_references o WHERE o.customer_id = sqlc.arg(customer_id)
    ORDER BY o.reference_source, o.reference_id LIMIT sqlc.arg(at_most)));

-- name: InboxForget :execrows
DELETE FROM webhook_inbox w WHERE w.customer_id = sqlc.arg(customer_id) AND w.id = ANY(ARRAY(
    SELECT o.id FROM webhook_inbox o WHERE o.customer_id = sqlc.arg(customer_id) ORDER BY o.id LIMIT sqlc.arg(at_most)));

-- name: GivingPurge :exec
-- What else is known of the customer's giving. The lane's epoch and the reconciliation log stay.
WITH reports AS (DELETE FROM giving_reports r WHERE r.customer_id = $1),
     subscriptions AS (DELETE FROM webhook_subscriptions s WHERE s.customer_id = $1),
     spent AS (DELETE FROM virtuous_budgets b WHERE b.customer_id = $1)
DELETE FROM virtuous_configs c WHERE c.customer_id = $1;

-- name: OffboardingPurgeNow :execrows
-- The customer returns without its mirror: what was kept for the mirror's return is purged now.
UPDATE offboardings SET purge_at = rollcall_now(), due_at = CASE WHEN step = 'retain' THEN rollcall_now() ELSE due_at END
WHERE customer_id = $1 AND step IN ('erase_late_messages', 'retain') AND purge_at > rollcall_now();
