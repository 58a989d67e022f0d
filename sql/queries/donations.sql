-- name: DonationCaptureIfNew :one
-- Adds the donation of an onboarded customer, unless its id is known, and settles the open letters of earlier messages with its id: see
-- TransactionLettersSettle.
WITH added AS (
    INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
                                         projects_checked, next_attempt_at, trace_id, created_at, status_at, updated_at)
    SELECT c.customer_id, sqlc.arg(platform_donation_id), 'pending', sqlc.arg(transaction_source), sqlc.arg(donation_sealed), sqlc.arg(body_sealed),
           sqlc.arg(content_hash), sqlc.arg(projects_checked), rollcall_now(), sqlc.arg(trace_id)::text, rollcall_now(), rollcall_now(), rollcall_now()
    FROM sync_configs c WHERE c.customer_id = sqlc.arg(customer_id) AND c.offboarded_at IS NULL
    ON CONFLICT (customer_id, platform_donation_id) DO NOTHING
    RETURNING id
), settled AS (
    UPDATE dead_letters l SET state = 'settled', settled_at = rollcall_now(), settled_how = 'superseded', next_attempt_at = NULL, asked_at = NULL
    WHERE EXISTS (SELECT FROM added)
      AND l.customer_id = sqlc.arg(customer_id) AND l.kind = 'donation' AND l.state <> 'settled' AND l.record_id = sqlc.arg(platform_donation_id)::text
      AND NOT EXISTS (SELECT FROM dead_letters k WHERE k.origin = sqlc.arg(origin)::text)
)
SELECT EXISTS (SELECT FROM added)::boolean;

-- name: DonationLock :one
SELECT id, status, content_hash FROM virtuous_donation_queue
WHERE customer_id = sqlc.arg(customer_id) AND platform_donation_id = sqlc.arg(platform_donation_id) FOR UPDATE;

-- name: DonationExists :one
SELECT EXISTS (SELECT FROM virtuous_donation_queue WHERE customer_id = sqlc.arg(customer_id) AND platform_donation_id = sqlc.arg(platform_donation_id)
               AND content_hash = sqlc.arg(content_hash))::boolean;

-- name: DonationReplaceIfOver :execrows
-- Another content takes the place of one that Virtuous rejected, or that was closed before Virtuous may have accepted it. An attempt at the
-- rejected one may have been accepted all the same, so unanswered_since stays.
UPDATE virtuous_donation_queue
SET status = 'pending', transaction_source = sqlc.arg(transaction_source), donation_sealed = sqlc.arg(donation_sealed),
    body_sealed = sqlc.arg(body_sealed), content_hash = sqlc.arg(content_hash), projects_checked = sqlc.arg(projects_checked),
    trace_id = sqlc.arg(trace_id)::text, attempts = 0, unsent_attempts = 0,
    next_attempt_at = rollcall_now(), last_error = NULL, close_reason = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id)
  AND (status = 'failed' OR (status = 'closed' AND submitted_at IS NULL AND unanswered_since IS NULL));

-- name: DonationCustomers :many
-- Customers with a due donation or contact, by a step through the index for each that has one pending. A pause keeps them away, and so does a hold
-- until the customer becomes active again, or its settings or credentials change.
WITH RECURSIVE pending AS (
    (SELECT q.customer_id FROM virtuous_donation_queue q WHERE q.status = 'pending' ORDER BY q.customer_id LIMIT 1)
    UNION ALL
    SELECT n.customer_id FROM pending f
    CROSS JOIN LATERAL (SELECT q.customer_id FROM virtuous_donation_queue q WHERE q.status = 'pending' AND q.customer_id > f.customer_id
                        ORDER BY q.customer_id LIMIT 1) n
), pending_contacts AS (
    (SELECT q.customer_id FROM virtuous_contact_queue q WHERE q.status = 'pending' ORDER BY q.customer_id LIMIT 1)
    UNION ALL
    SELECT n.customer_id FROM pending_contacts f
    CROSS JOIN LATERAL (SELECT q.customer_id FROM virtuous_contact_queue q WHERE q.status = 'pending' AND q.customer_id > f.customer_id
                        ORDER BY q.customer_id LIMIT 1) n
), due AS (
    SELECT f.customer_id FROM pending f
    CROSS JOIN LATERAL (SELECT q.next_attempt_at FROM virtuous_donation_queue q WHERE q.customer_id = f.customer_id AND q.status = 'pending'
                        ORDER BY q.next_attempt_at, q.id LIMIT 1) d
    WHERE d.next_attempt_at <= rollcall_now()
    UNION
    SELECT f.customer_id FROM pending_contacts f
    CROSS JOIN LATERAL (SELECT q.next_attempt_at FROM virtuous_contact_queue q WHERE q.customer_id = f.customer_id AND q.status = 'pending'
                        ORDER BY q.next_attempt_at, q.id LIMIT 1) d
    WHERE d.next_attempt_at <= rollcall_now()
)
SELECT f.customer_id, greatest(v.updated_at, s.active_since)::timestamptz AS renewed_at FROM due f
CROSS JOIN LATERAL (SELECT c.active_since FROM sync_configs c
    WHERE c.customer_id = f.customer_id AND c.paused_at IS NULL AND c.offboarded_at IS NULL LIMIT 1) s
CROSS JOIN LATERAL (SELECT g.updated_at FROM virtuous_configs g WHERE g.customer_id = f.customer_id AND g.enabled LIMIT 1) v
WHERE NOT EXISTS (
    SELECT FROM giving_holds h WHERE h.customer_id = f.customer_id AND h.until > rollcall_now()
      AND h.noted_at >= greatest(s.active_since, v.updated_at, (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = f.customer_id))
    OFFSET 0);

-- name: DonationsDue :many
SELECT id, platform_donation_id AS platform_id, transaction_source, body_sealed, content_hash, projects_checked, attempts, unsent_attempts,
       next_attempt_at::timestamptz AS due_at, unanswered_since
FROM virtuous_donation_queue
WHERE customer_id = sqlc.arg(customer_id) AND status = 'pending' AND next_attempt_at <= rollcall_now()
ORDER BY next_attempt_at, id LIMIT sqlc.arg(at_most);

-- name: DonationAttemptBegin :one
-- Notes that a transaction is about to be sent. The content is that which was read: it may have been replaced since.
-- An attempt before it whose answer was not recorded is kept as one without an answer.
UPDATE virtuous_donation_queue
SET attempt_log = CASE WHEN attempt_started_at IS NULL THEN attempt_log
                       ELSE rollcall_attempts_with(attempt_log, attempt_started_at, 'no_answer', 0, '', '') END,
    attempt_started_at = rollcall_now(), attempt_epoch = sqlc.arg(epoch)::bigint, attempts = attempts + 1,
    unanswered_since = coalesce(unanswered_since, rollcall_now()), projects_checked = true,
    looked_up_at = CASE WHEN sqlc.arg(looked_up)::boolean THEN rollcall_now() ELSE looked_up_at END, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND content_hash = sqlc.arg(content_hash)
RETURNING attempts;

-- name: DonationAttemptNote :exec
-- Adds the answer of an attempt to the donation's list of attempts, also if the donation has changed meanwhile.
UPDATE virtuous_donation_queue
SET attempt_log = rollcall_attempts_with(attempt_log, rollcall_now(), sqlc.arg(verdict)::text, sqlc.arg(http_status)::integer, sqlc.arg(request_id)::text,
                                         sqlc.arg(error)::text), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id);

-- name: DonationSubmitIfAttempting :execrows
UPDATE virtuous_donation_queue
SET status = 'submitted', submitted_at = unanswered_since, repeated = repeated OR sqlc.arg(repeated)::boolean, attempt_started_at = NULL,
    attempt_epoch = NULL, next_attempt_at = NULL, last_error = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint;

-- name: DonationFailIfAttempting :execrows
UPDATE virtuous_donation_queue
SET status = 'failed', last_error = sqlc.arg(last_error)::text, unanswered_since = sqlc.narg(unanswered_since), attempt_started_at = NULL,
    attempt_epoch = NULL, next_attempt_at = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint;

-- name: DonationFailIfPending :execrows
-- The donation is not sent. The content is that which was read: it may have been replaced since.
UPDATE virtuous_donation_queue
SET attempt_log = rollcall_attempts_with(attempt_log, rollcall_now(), 'not_sent', 0, '', sqlc.arg(last_error)::text),
    status = 'failed', last_error = sqlc.arg(last_error)::text, attempt_started_at = NULL, attempt_epoch = NULL, next_attempt_at = NULL,
    status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND content_hash = sqlc.arg(content_hash);

-- name: DonationWaitIfAttempting :execrows
-- The attempt ended without the transaction being accepted, as far as is known. unanswered_since stays as the attempt noted it if it may
-- have been accepted, and becomes what it was before otherwise.
UPDATE virtuous_donation_queue
SET next_attempt_at = rollcall_now() + sqlc.arg(delay)::interval, last_error = sqlc.arg(last_error)::text,
    attempts = attempts - CASE WHEN sqlc.arg(sent)::boolean THEN 0 ELSE 1 END,
    unsent_attempts = CASE WHEN sqlc.arg(sent)::boolean THEN 0 WHEN sqlc.arg(delay)::interval > interval '0' THEN unsent_attempts + 1 ELSE unsent_attempts END,
    unanswered_since = CASE WHEN sqlc.arg(maybe_accepted)::boolean THEN unanswered_since ELSE sqlc.narg(unanswered_since) END,
    attempt_started_at = NULL, attempt_epoch = NULL, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending' AND attempt_epoch = sqlc.arg(epoch)::bigint;

-- name: DonationPostponeIfPending :execrows
-- Nothing was sent, such as because the gift could not be looked for. What is noted of earlier attempts stays. The delay doubles with each attempt, and
-- is no shorter than the time since an attempt without an answer began. Of several in a row, the list of attempts has the last.
UPDATE virtuous_donation_queue
SET attempt_log = rollcall_attempts_with(CASE WHEN attempt_log -> -1 ->> 'verdict' = 'postponed' THEN attempt_log - (-1) ELSE attempt_log END,
                                         rollcall_now(), 'postponed', 0, '', sqlc.arg(last_error)::text),
    next_attempt_at = rollcall_now() + least(sqlc.arg(longest)::interval,
        greatest(sqlc.arg(shortest)::interval * (1 << least(unsent_attempts, 20)), rollcall_now() - coalesce(unanswered_since, rollcall_now()))),
    unsent_attempts = unsent_attempts + CASE WHEN sqlc.arg(shortest)::interval < sqlc.arg(longest)::interval THEN 1 ELSE 0 END, last_error = sqlc.arg(last_error)::text, updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'pending';

-- name: TransactionLetterInsertIfNew :execrows
-- The letter of a message that is no valid donation or contact, with the message. Idempotent by origin.
INSERT INTO dead_letters (id, customer_id, kind, record_id, payload_sealed, original_subject, origin, job, error_code, error_class, state, attempts,
                          first_failed_at, last_failed_at, reason, trace_id)
VALUES (sqlc.arg(id), sqlc.arg(customer_id), sqlc.arg(kind), nullif(sqlc.arg(record_id)::text, ''), sqlc.arg(payload_sealed), sqlc.arg(original_subject),
        sqlc.arg(origin), sqlc.arg(job), sqlc.arg(error_code), 'permanent', 'review', 1, rollcall_now(), rollcall_now(), sqlc.arg(reason)::text,
        sqlc.arg(trace_id)::text)
ON CONFLICT (origin) DO NOTHING;

-- name: TransactionLettersSettle :exec
-- A later message has the id of the donation or contact. One that comes a second time, and whose origin has a letter, settles nothing.
UPDATE dead_letters l SET state = 'settled', settled_at = rollcall_now(), settled_how = 'superseded', next_attempt_at = NULL, asked_at = NULL
WHERE l.customer_id = sqlc.arg(customer_id) AND l.kind = sqlc.arg(kind) AND l.state <> 'settled' AND l.record_id = sqlc.arg(record_id)::text
  AND NOT EXISTS (SELECT FROM dead_letters k WHERE k.origin = sqlc.arg(origin)::text);
