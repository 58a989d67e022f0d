-- name: GivingReconcileTakeDue :many
-- Customers whose scheduled reconciliation is due, each taken by one process, with its next time.
UPDATE virtuous_configs v SET next_reconcile_at = rollcall_now() + sqlc.arg(every)::interval
WHERE v.customer_id = ANY(ARRAY(
    SELECT d.customer_id FROM virtuous_configs d WHERE d.enabled AND d.next_reconcile_at <= rollcall_now()
    ORDER BY d.next_reconcile_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED))
RETURNING v.customer_id;

-- name: GivingReconcileAsk :exec
-- A category that is due already stays where it is. One that waits after a fault is tried at once if an operator asks.
INSERT INTO giving_reconciliations (customer_id, category, place, scheduled, asked_at)
SELECT c.customer_id, g.category, g.place, sqlc.arg(scheduled)::boolean, rollcall_now()
FROM (SELECT unnest(sqlc.arg(customer_ids)::text[]) AS customer_id) c
CROSS JOIN (SELECT unnest(sqlc.arg(categories)::text[]) AS category, unnest(sqlc.arg(places)::integer[]) AS place) g
ON CONFLICT (customer_id, category) DO UPDATE SET scheduled = giving_reconciliations.scheduled OR excluded.scheduled,
    not_before = CASE WHEN excluded.scheduled THEN giving_reconciliations.not_before END;

-- name: GivingReconcileCustomers :many
-- The customers of due categories, the longest due first. A pause keeps them away, and so does a hold, as in DonationCustomers.
SELECT r.customer_id, greatest(v.updated_at, s.active_since)::timestamptz AS renewed_at
FROM (SELECT d.customer_id, d.asked_at FROM giving_reconciliations d
      WHERE d.category <> 'report' AND (d.not_before IS NULL OR d.not_before <= rollcall_now())) r
CROSS JOIN LATERAL (SELECT c.active_since FROM sync_configs c
    WHERE c.customer_id = r.customer_id AND c.paused_at IS NULL AND c.offboarded_at IS NULL LIMIT 1) s
CROSS JOIN LATERAL (SELECT g.updated_at FROM virtuous_configs g WHERE g.customer_id = r.customer_id AND g.enabled LIMIT 1) v
WHERE NOT EXISTS (
    SELECT FROM giving_holds h WHERE h.customer_id = r.customer_id AND h.until > rollcall_now()
      AND h.noted_at >= greatest(s.active_since, v.updated_at, (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = r.customer_id))
    OFFSET 0)
ORDER BY r.asked_at LIMIT sqlc.arg(at_most);

-- name: GivingReconciliations :many
-- Without those that wait after a fault, and without the report, which needs no lane.
SELECT category, scheduled, asked_at, progress, failures, coalesce(fault, '')::text AS fault FROM giving_reconciliations
WHERE customer_id = $1 AND category <> 'report' AND (not_before IS NULL OR not_before <= rollcall_now()) ORDER BY place;

-- name: GivingReconcilePostpone :execrows
UPDATE giving_reconciliations
SET not_before = rollcall_now() + sqlc.arg(delay)::interval, failures = failures + 1, fault = sqlc.arg(fault)::text,
    fault_since = CASE WHEN failures > 0 THEN fault_since ELSE rollcall_now() END
WHERE customer_id = sqlc.arg(customer_id) AND category = sqlc.arg(category);

-- name: GivingReconcileWake :exec
UPDATE giving_reconciliations SET not_before = NULL WHERE customer_id = $1 AND not_before IS NOT NULL;

-- name: GivingReadsForbidden :one
SELECT EXISTS (SELECT FROM giving_reconciliations WHERE customer_id = $1 AND fault = 'virtuous_forbidden')::boolean AS forbidden;

-- name: GivingReconcileProgress :execrows
-- The failures in a row end only if Virtuous answered: a pass notes how far it came also when it fails.
UPDATE giving_reconciliations
SET progress = sqlc.arg(progress), failures = CASE WHEN sqlc.arg(answered)::boolean THEN 0 ELSE failures END
WHERE customer_id = sqlc.arg(customer_id) AND category = sqlc.arg(category);

-- name: GivingReconcileEnd :one
-- Ends a pass, and says whether it was the last one of the schedule. The customer's row is locked first, as the schedule does: each would
-- wait for the other one otherwise.
WITH customer AS (
    SELECT v.customer_id FROM virtuous_configs v WHERE v.customer_id = sqlc.arg(customer_id) FOR NO KEY UPDATE),
ended AS (
    DELETE FROM giving_reconciliations e USING customer c WHERE e.customer_id = c.customer_id AND e.category = sqlc.arg(category) RETURNING e.scheduled)
SELECT (coalesce((SELECT bool_or(ended.scheduled) FROM ended), false)
        AND NOT EXISTS (SELECT FROM giving_reconciliations o
                        WHERE o.customer_id = sqlc.arg(customer_id) AND o.category <> sqlc.arg(category) AND o.category <> 'report'
                          AND o.scheduled))::boolean AS is_last;

-- name: DonationsSubmittedBefore :many
-- Donations without a gift that were submitted more than an age ago, in the order of their submission, after a place in it.
SELECT id, platform_donation_id AS platform_id, transaction_source, submitted_at,
       (looked_up_at IS NOT NULL AND looked_up_at >= status_at AND looked_up_at > rollcall_now() - interval '1 hour')::boolean AS looked_up_lately
FROM virtuous_donation_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'submitted' AND submitted_at < rollcall_now() - sqlc.arg(age)::interval
  AND (submitted_at, id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::bigint)
ORDER BY submitted_at, id LIMIT sqlc.arg(at_most);

-- name: DonationsToLookUpAgain :many
-- Donations in review whose gift is looked for again, in the order in which they are due, until a time.
SELECT id, platform_donation_id AS platform_id, transaction_source, submitted_at, next_lookup_at FROM virtuous_donation_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'needs_review' AND next_lookup_at <= sqlc.arg(due_until)::timestamptz
  AND (next_lookup_at, id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::bigint)
ORDER BY next_lookup_at, id LIMIT sqlc.arg(at_most);

-- name: DonationNoteLookup :execrows
-- No gift was found of a donation that stays submitted.
UPDATE virtuous_donation_queue SET looked_up_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'submitted';

-- name: DonationNeedReviewIfSubmitted :execrows
-- The age is asked again: the donation may have been submitted anew.
UPDATE virtuous_donation_queue
SET status = 'needs_review', review_reason = sqlc.arg(reason)::text,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE looked_up_at END,
    next_lookup_at = sqlc.arg(asked_at)::timestamptz + interval '1 day', status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'submitted' AND submitted_at < rollcall_now() - sqlc.arg(age)::interval;

-- name: DonationStillNeedsReview :execrows
-- Looked up again without success: once a day for 30 days, and then once a week.
UPDATE virtuous_donation_queue
SET looked_up_at = rollcall_now(), review_reason = sqlc.arg(reason)::text, updated_at = rollcall_now(),
    next_lookup_at = sqlc.arg(asked_at)::timestamptz + CASE WHEN rollcall_now() < status_at + interval '30 days' THEN interval '1 day' ELSE interval '7 days' END
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'needs_review';

-- name: DonationConfirmedBetween :one
SELECT EXISTS (SELECT FROM virtuous_donation_queue WHERE customer_id = sqlc.arg(customer_id) AND status = 'confirmed'
               AND submitted_at >= sqlc.arg(from_time)::timestamptz AND submitted_at < sqlc.arg(to_time)::timestamptz)::boolean AS any_confirmed;

-- name: DonationImportNotRun :one
SELECT (EXISTS (SELECT FROM virtuous_donation_queue d
                WHERE d.customer_id = sqlc.arg(customer_id) AND d.status = 'needs_review' AND d.review_reason = 'import_not_run')
     OR EXISTS (SELECT FROM virtuous_contact_queue c
                WHERE c.customer_id = sqlc.arg(customer_id) AND c.status = 'needs_review' AND c.review_reason = 'import_not_run'))::boolean AS any_waits;

-- name: ReconciliationLogInsert :exec
INSERT INTO virtuous_reconciliation_log (customer_id, category, platform_record_id, virtuous_record_id, resolution, details, entity, job_id, trace_id)
SELECT sqlc.arg(customer_id), sqlc.arg(category), nullif(v.platform_record_id, ''), nullif(v.virtuous_record_id, 0), v.resolution, v.details::jsonb,
       v.entity, nullif(sqlc.arg(job_id)::bigint, 0), sqlc.arg(trace_id)::text
FROM (SELECT unnest(sqlc.arg(platform_record_ids)::text[]) AS platform_record_id, unnest(sqlc.arg(virtuous_record_ids)::bigint[]) AS virtuous_record_id,
             unnest(sqlc.arg(resolutions)::text[]) AS resolution, unnest(sqlc.arg(details)::text[]) AS details,
             unnest(sqlc.arg(entities)::text[]) AS entity) v;

-- name: VirtuousCheckpoint :one
SELECT checkpoint FROM sync_checkpoints WHERE customer_id = sqlc.arg(customer_id) AND resource = sqlc.arg(resource);

-- name: GivingExpectsWebhooks :one
-- Whether deliveries are expected: a subscription of ours has been active for a while, or there was never one, and the customer has had a
-- secret for one of its own for as long.
SELECT (EXISTS (SELECT FROM webhook_subscriptions w WHERE w.customer_id = sqlc.arg(customer_id) AND w.state = 'active'
                AND w.created_at <= rollcall_now() - sqlc.arg(longer_than)::interval)
     OR (NOT EXISTS (SELECT FROM webhook_subscriptions w WHERE w.customer_id = sqlc.arg(customer_id))
         AND EXISTS (SELECT FROM credentials c WHERE c.customer_id = sqlc.arg(customer_id) AND c.name = sqlc.arg(secret)::text
                     AND c.updated_at <= rollcall_now() - sqlc.arg(longer_than)::interval)))::boolean AS expects;

-- name: GivingNoteReadSince :exec
UPDATE virtuous_configs SET read_since = least(read_since, sqlc.arg(since)::timestamptz) WHERE customer_id = sqlc.arg(customer_id);
