-- name: ContactCaptureIfNew :one
-- Adds the contact, unless its reference is known to the queue, and settles the open letters of earlier messages with its reference. A contact that
-- Virtuous has under the reference already is confirmed, and waits to be compared; nothing is sent. "" if nothing was added.
WITH known AS (
    SELECT r.virtuous_contact_id FROM partner_references r
    WHERE r.customer_id = sqlc.arg(customer_id) AND r.reference_source = sqlc.arg(reference_source) AND r.reference_id = sqlc.arg(reference_id)
), added AS (
    INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_modified_at,
                                        partner_published_at, body_sealed, content_hash, next_attempt_at, confirmed_at, virtuous_contact_id,
                                        recovery_path, compare_wanted_at, trace_id, created_at, status_at, updated_at)
    SELECT sqlc.arg(customer_id), sqlc.arg(reference_source), sqlc.arg(reference_id), CASE WHEN k.id IS NULL THEN 'pending' ELSE 'confirmed' END,
           sqlc.arg(transaction_source), sqlc.arg(partner_sealed), sqlc.narg(partner_modified_at), sqlc.arg(partner_published_at), sqlc.arg(body_sealed),
           sqlc.arg(content_hash), CASE WHEN k.id IS NULL THEN rollcall_now() END, CASE WHEN k.id IS NOT NULL THEN rollcall_now() END, k.id,
           CASE WHEN k.id IS NOT NULL THEN 'known_reference' END, CASE WHEN k.id IS NOT NULL THEN rollcall_now() END,
           sqlc.arg(trace_id)::text, rollcall_now(), rollcall_now(), rollcall_now()
    FROM (SELECT (SELECT known.virtuous_contact_id FROM known) AS id) k
    ON CONFLICT (customer_id, reference_source, reference_id) DO NOTHING
    RETURNING status
), settled AS (
    UPDATE dead_letters l SET state = 'settled', settled_at = rollcall_now(), settled_how = 'superseded', next_attempt_at = NULL, asked_at = NULL
    WHERE EXISTS (SELECT FROM added)
      AND l.customer_id = sqlc.arg(customer_id) AND l.kind = 'contact' AND l.state <> 'settled' AND l.record_id = sqlc.arg(reference_id)::text
      AND NOT EXISTS (SELECT FROM dead_letters k WHERE k.origin = sqlc.arg(origin)::text)
)
SELECT coalesce((SELECT added.status FROM added), '')::text AS status;

-- name: ContactVersionLock :one
SELECT id, status, content_hash, partner_modified_at, partner_published_at FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND reference_source = sqlc.arg(reference_source) AND reference_id = sqlc.arg(reference_id) FOR UPDATE;

-- name: ContactVersionReplace :one
-- Stores a newer version of a locked contact. One that Virtuous has waits to be compared. One that Virtuous rejected, or that was closed, is sent again,
-- or is confirmed if its reference has become known. Virtuous may have an earlier version of one that was sent: it is compared when it is confirmed.
WITH known AS (
    SELECT r.virtuous_contact_id FROM partner_references r
    WHERE r.customer_id = sqlc.arg(customer_id) AND r.reference_source = sqlc.arg(reference_source) AND r.reference_id = sqlc.arg(reference_id)
), becomes AS (
    SELECT q.id, q.status AS was, (SELECT known.virtuous_contact_id FROM known) AS has,
           CASE WHEN q.status NOT IN ('failed', 'closed') THEN q.status WHEN EXISTS (SELECT FROM known) THEN 'confirmed' ELSE 'pending' END AS status
    FROM virtuous_contact_queue q WHERE q.customer_id = sqlc.arg(customer_id) AND q.id = sqlc.arg(id)
)
UPDATE virtuous_contact_queue q
SET partner_sealed = sqlc.arg(partner_sealed), partner_modified_at = sqlc.narg(partner_modified_at), partner_published_at = sqlc.arg(partner_published_at),
    body_sealed = sqlc.arg(body_sealed), content_hash = sqlc.arg(content_hash), trace_id = sqlc.arg(trace_id)::text, status = b.status,
    transaction_source = CASE WHEN b.status = b.was THEN q.transaction_source ELSE sqlc.arg(transaction_source) END,
    attempts = CASE WHEN b.status = b.was THEN q.attempts ELSE 0 END,
    unsent_attempts = CASE WHEN b.status = b.was THEN q.unsent_attempts ELSE 0 END,
    next_attempt_at = CASE WHEN b.status = b.was THEN q.next_attempt_at WHEN b.status = 'pending' THEN rollcall_now() END,
    confirmed_at = CASE WHEN b.status = b.was THEN q.confirmed_at WHEN b.status = 'confirmed' THEN rollcall_now() END,
    virtuous_contact_id = CASE WHEN b.status = b.was THEN q.virtuous_contact_id WHEN b.status = 'confirmed' THEN b.has END,
    recovery_path = CASE WHEN b.status = b.was THEN q.recovery_path WHEN b.status = 'confirmed' THEN 'known_reference' END,
    compare_wanted_at = CASE WHEN b.status = 'confirmed' THEN rollcall_now() END,
    submitted_at = CASE WHEN b.status = b.was THEN q.submitted_at END,
    last_error = CASE WHEN b.status = b.was THEN q.last_error END, close_reason = CASE WHEN b.status = b.was THEN q.close_reason END,
    status_at = CASE WHEN b.status = b.was THEN q.status_at ELSE rollcall_now() END, updated_at = rollcall_now()
FROM becomes b
WHERE q.customer_id = sqlc.arg(customer_id) AND q.id = b.id
RETURNING q.status;

-- name: ContactTransactionsDue :many
SELECT id, reference_id AS platform_id, transaction_source, body_sealed, content_hash, true AS projects_checked, attempts, unsent_attempts,
       next_attempt_at::timestamptz AS due_at, unanswered_since
FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'pending' AND next_attempt_at <= rollcall_now()
ORDER BY next_attempt_at, id LIMIT sqlc.arg(at_most);

-- name: ContactAttemptBegin :one
-- As DonationAttemptBegin. The version that is sent is noted: a newer one may take its place before the contact is confirmed.
UPDATE virtuous_contact_queue
SET attempt_log = CASE WHEN attempt_started_at IS NULL THEN attempt_log
                       ELSE rollcall_attempts_with(attempt_log, attempt_started_at, 'no_answer', 0, '', '') END,
    attempt_started_at = rollcall_now(), attempt_epoch = sqlc.arg(epoch)::bigint, attempts = attempts + 1,
    unanswered_since = coalesce(unanswered_since, rollcall_now()), sent_hash = content_hash,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE looked_up_at END, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND content_hash = sqlc.arg(content_hash)
RETURNING attempts;

-- name: ContactAttemptNote :exec
-- As DonationAttemptNote.
UPDATE virtuous_contact_queue
SET attempt_log = rollcall_attempts_with(attempt_log, rollcall_now(), sqlc.arg(verdict)::text, sqlc.arg(http_status)::integer, sqlc.arg(request_id)::text,
                                         sqlc.arg(error)::text), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id);

-- name: ContactSubmitIfAttempting :execrows
UPDATE virtuous_contact_queue
SET status = 'submitted', submitted_at = unanswered_since, repeated = repeated OR sqlc.arg(repeated)::boolean, attempt_started_at = NULL,
    attempt_epoch = NULL, next_attempt_at = NULL, last_error = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint;

-- name: ContactFailIfAttempting :execrows
-- A newer version that came during the attempt does not fail with the one that was sent: it stays pending, and due.
UPDATE virtuous_contact_queue
SET status = 'failed', last_error = sqlc.arg(last_error)::text, unanswered_since = sqlc.narg(unanswered_since), attempt_started_at = NULL,
    attempt_epoch = NULL, next_attempt_at = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint
  AND content_hash = sent_hash;

-- name: ContactFailIfPending :execrows
-- As DonationFailIfPending.
UPDATE virtuous_contact_queue
SET attempt_log = rollcall_attempts_with(attempt_log, rollcall_now(), 'not_sent', 0, '', sqlc.arg(last_error)::text),
    status = 'failed', last_error = sqlc.arg(last_error)::text, attempt_started_at = NULL, attempt_epoch = NULL, next_attempt_at = NULL,
    status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND content_hash = sqlc.arg(content_hash);

-- name: ContactWaitIfAttempting :execrows
-- As DonationWaitIfAttempting.
UPDATE virtuous_contact_queue
SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, last_error = sqlc.arg(last_error)::text,
    attempts = attempts - CASE WHEN sqlc.arg(sent)::boolean THEN 0 ELSE 1 END,
    unsent_attempts = CASE WHEN sqlc.arg(sent)::boolean THEN 0 WHEN sqlc.arg(delay)::interval > interval '0' THEN unsent_attempts + 1 ELSE unsent_attempts END,
    unanswered_since = CASE WHEN sqlc.arg(maybe_accepted)::boolean THEN unanswered_since ELSE sqlc.narg(unanswered_since) END,
    attempt_started_at = NULL, attempt_epoch = NULL, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint;

-- name: ContactPostponeIfPending :execrows
-- As DonationPostponeIfPending.
UPDATE virtuous_contact_queue
SET attempt_log = rollcall_attempts_with(CASE WHEN attempt_log -> -1 ->> 'verdict' = 'postponed' THEN attempt_log - (-1) ELSE attempt_log END,
                                         rollcall_now(), 'postponed', 0, '', sqlc.arg(last_error)::text),
    next_attempt_at = rollcall_now() + least(sqlc.arg(longest)::interval,
        greatest(sqlc.arg(shortest)::interval * (1 << least(unsent_attempts, 20)), rollcall_now() - coalesce(unanswered_since, rollcall_now()))),
    unsent_attempts = unsent_attempts + CASE WHEN sqlc.arg(shortest)::interval < sqlc.arg(longest)::interval THEN 1 ELSE 0 END,
    last_error = sqlc.arg(last_error)::text, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending';

-- name: ContactsOfReferences :many
-- Locks the contacts of these references, so that no attempt changes one before it is confirmed, and says which of Virtuous' contacts each means by
-- now.
SELECT q.id, q.reference_id, q.status, coalesce(q.virtuous_contact_id, 0)::bigint AS had, r.virtuous_contact_id AS has
FROM (SELECT unnest(sqlc.arg(sources)::text[]) AS source, unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT p.virtuous_contact_id FROM partner_references p
    WHERE p.customer_id = sqlc.arg(customer_id) AND p.reference_source = v.source AND p.reference_id = v.id LIMIT 1) r
CROSS JOIN LATERAL (
    SELECT c.id, c.reference_id, c.status, c.virtuous_contact_id FROM virtuous_contact_queue c
    WHERE c.customer_id = sqlc.arg(customer_id) AND c.reference_source = v.source AND c.reference_id = v.id LIMIT 1 FOR NO KEY UPDATE) q
ORDER BY q.id;

-- name: ContactConfirmByReference :one
-- Confirms a contact that is in the state in which it was read. It is compared unless Virtuous had the newest version, and no other, as a transaction.
UPDATE virtuous_contact_queue
SET status = 'confirmed', confirmed_at = rollcall_now(), virtuous_contact_id = sqlc.arg(contact_id)::bigint,
    recovery_path = nullif(sqlc.arg(recovery_path)::text, ''), submitted_at = coalesce(submitted_at, unanswered_since),
    compare_wanted_at = CASE WHEN repeated OR sent_hash IS DISTINCT FROM content_hash THEN rollcall_now() END, next_attempt_at = NULL,
    next_lookup_at = NULL, attempt_started_at = NULL, attempt_epoch = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = sqlc.arg(was) AND status <> 'confirmed'
RETURNING submitted_at, confirmed_at;

-- name: ContactSetVirtuousID :exec
-- The reference of a confirmed contact means another one of Virtuous' contacts by now, with which it is compared.
UPDATE virtuous_contact_queue SET virtuous_contact_id = sqlc.arg(contact_id)::bigint, compare_wanted_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'confirmed';

-- name: ContactQueueRepoint :exec
-- A contact that is another one at Virtuous by now waits to be compared with that one.
UPDATE virtuous_contact_queue q
SET virtuous_contact_id = v.into, updated_at = rollcall_now(),
    compare_wanted_at = CASE WHEN q.status = 'confirmed' THEN rollcall_now() ELSE q.compare_wanted_at END
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(intos)::bigint[]) AS into) v
WHERE q.customer_id = sqlc.arg(customer_id) AND q.virtuous_contact_id IS NOT NULL AND q.virtuous_contact_id = v.id;

-- name: ContactsClose :execrows
-- As DonationsClose. Confirmed ones can be closed, too: at another organization the id of Virtuous' contact means nothing.
UPDATE virtuous_contact_queue d
SET status = 'closed', close_reason = sqlc.arg(reason)::text, next_attempt_at = NULL, next_lookup_at = NULL, attempt_started_at = NULL, attempt_epoch = NULL,
    virtuous_contact_id = NULL, compare_wanted_at = NULL, compared = '{}', status_at = rollcall_now(), updated_at = rollcall_now()
WHERE d.customer_id = sqlc.arg(customer_id)
  AND (d.status = ANY(sqlc.arg(statuses)::text[]) OR (sqlc.arg(unanswered)::boolean AND d.status = 'pending' AND d.unanswered_since IS NOT NULL))
  AND d.id = ANY(ARRAY(
    (SELECT p.id FROM virtuous_contact_queue p WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'pending'
       AND ('pending' = ANY(sqlc.arg(statuses)::text[]) OR (sqlc.arg(unanswered)::boolean AND p.unanswered_since IS NOT NULL))
     ORDER BY p.next_attempt_at, p.id LIMIT sqlc.arg(at_most))
    UNION ALL
    (SELECT s.id FROM virtuous_contact_queue s WHERE s.customer_id = sqlc.arg(customer_id) AND s.status = ANY(sqlc.arg(statuses)::text[])
       AND s.status IN ('submitted', 'needs_review', 'failed', 'confirmed') ORDER BY s.status, s.id LIMIT sqlc.arg(at_most))
    LIMIT sqlc.arg(at_most)));

-- name: ContactQueuePurge :execrows
DELETE FROM virtuous_contact_queue d WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = ANY(ARRAY(
    SELECT q.id FROM virtuous_contact_queue q WHERE q.customer_id = sqlc.arg(customer_id) ORDER BY q.id LIMIT sqlc.arg(at_most)));
