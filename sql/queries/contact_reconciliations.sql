-- name: ContactsSubmittedBefore :many
-- As DonationsSubmittedBefore.
SELECT id, reference_id AS platform_id, transaction_source, submitted_at,
       (looked_up_at IS NOT NULL AND looked_up_at >= status_at AND looked_up_at > rollcall_now() - interval '1 hour')::boolean AS looked_up_lately
FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'submitted' AND submitted_at < rollcall_now() - sqlc.arg(age)::interval
  AND (submitted_at, id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::bigint)
ORDER BY submitted_at, id LIMIT sqlc.arg(at_most);

-- name: ContactsToLookUpAgain :many
-- As DonationsToLookUpAgain.
SELECT id, reference_id AS platform_id, transaction_source, submitted_at, next_lookup_at FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'needs_review' AND next_lookup_at <= sqlc.arg(due_until)::timestamptz
  AND (next_lookup_at, id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::bigint)
ORDER BY next_lookup_at, id LIMIT sqlc.arg(at_most);

-- name: ContactNoteLookup :execrows
UPDATE virtuous_contact_queue SET looked_up_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'submitted';

-- name: ContactNeedReviewIfSubmitted :execrows
-- As DonationNeedReviewIfSubmitted.
UPDATE virtuous_contact_queue
SET status = 'needs_review', review_reason = sqlc.arg(reason)::text,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE looked_up_at END,
    next_lookup_at = sqlc.arg(asked_at)::timestamptz + interval '1 day', status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'submitted' AND submitted_at < rollcall_now() - sqlc.arg(age)::interval;

-- name: ContactStillNeedsReview :execrows
-- As DonationStillNeedsReview.
UPDATE virtuous_contact_queue
SET looked_up_at = rollcall_now(), review_reason = sqlc.arg(reason)::text, updated_at = rollcall_now(),
    next_lookup_at = sqlc.arg(asked_at)::timestamptz + CASE WHEN rollcall_now() < status_at + interval '30 days' THEN interval '1 day' ELSE interval '7 days' END
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'needs_review';

-- name: ContactConfirmedBetween :one
SELECT EXISTS (SELECT FROM virtuous_contact_queue WHERE customer_id = sqlc.arg(customer_id) AND status = 'confirmed'
               AND submitted_at >= sqlc.arg(from_time)::timestamptz AND submitted_at < sqlc.arg(to_time)::timestamptz)::boolean AS any_confirmed;

-- name: ContactFigures :one
-- What reports and the status count of contacts. Each count reads one partial index. The year 1970 means that there is none.
SELECT (SELECT count(*) FROM virtuous_contact_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending') AS pending,
       coalesce((SELECT min(o.created_at) FROM virtuous_contact_queue o WHERE o.customer_id = sqlc.arg(customer_id) AND o.status = 'pending'),
                '1970-01-01T00:00:00Z')::timestamptz AS pending_since,
       (SELECT count(*) FROM virtuous_contact_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted') AS submitted,
       (SELECT count(*) FROM virtuous_contact_queue l WHERE l.customer_id = sqlc.arg(customer_id) AND l.status = 'submitted'
          AND l.submitted_at < rollcall_now() - sqlc.arg(late)::interval) AS submitted_late,
       coalesce((SELECT min(t.submitted_at) FROM virtuous_contact_queue t WHERE t.customer_id = sqlc.arg(customer_id) AND t.status = 'submitted'
          AND t.submitted_at < rollcall_now() - sqlc.arg(late)::interval), '1970-01-01T00:00:00Z')::timestamptz AS submitted_late_since,
       (SELECT count(*) FROM virtuous_contact_queue r WHERE r.customer_id = sqlc.arg(customer_id) AND r.status = 'needs_review'
          AND r.review_reason = 'import_not_run') AS import_not_run,
       (SELECT count(*) FROM virtuous_contact_queue m WHERE m.customer_id = sqlc.arg(customer_id) AND m.status = 'needs_review'
          AND m.review_reason = 'match_needed') AS match_needed,
       (SELECT count(*) FROM virtuous_contact_queue f WHERE f.customer_id = sqlc.arg(customer_id) AND f.status = 'failed') AS failed;

-- name: ContactsUnfinished :many
-- As DonationsUnfinished: the references of contacts that are not in Virtuous yet.
SELECT q.reference_id FROM virtuous_contact_queue q
WHERE q.customer_id = sqlc.arg(customer_id) AND q.id = ANY(ARRAY(
    (SELECT p.id FROM virtuous_contact_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending'
     ORDER BY p.next_attempt_at, p.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT s.id FROM virtuous_contact_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = 'submitted'
     ORDER BY s.submitted_at, s.id LIMIT sqlc.arg(at_most))))
ORDER BY q.id LIMIT sqlc.arg(at_most);
