-- name: LettersOpenFor :many
-- The open letters of these records: the version each was written for, and why and when. One by one, as mappings are. The state is
-- asked behind OFFSET 0: a plan from when the customer had few open letters would go through all of them for each record otherwise,
-- because the index of open letters by age began with the customer too.
SELECT l.id, l.record_id, l.source_updated_at, l.version_hash, l.error_code, l.error_class, l.last_failed_at, l.attempts
FROM (SELECT unnest(sqlc.arg(record_ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT d.id, d.record_id, d.source_updated_at, d.version_hash, d.error_code, d.error_class, d.last_failed_at, d.attempts, d.kind, d.state
    FROM dead_letters d
    WHERE d.customer_id = sqlc.arg(customer_id) AND d.record_id = v.id
    OFFSET 0) l
WHERE l.kind = sqlc.arg(kind)::text AND l.state <> 'settled';

-- name: LettersSettleSuperseded :many
-- A newer version of the record was written, or refused and got a letter of its own. They are looked up as LettersOpenFor does.
UPDATE dead_letters s
SET state = 'settled', settled_at = rollcall_now(), settled_how = 'superseded', next_attempt_at = NULL
WHERE s.id = ANY(ARRAY(
    SELECT l.id FROM (SELECT unnest(sqlc.arg(record_ids)::text[]) AS id) v
    CROSS JOIN LATERAL (
        SELECT d.id, d.kind, d.state FROM dead_letters d WHERE d.customer_id = sqlc.arg(customer_id) AND d.record_id = v.id OFFSET 0) l
    WHERE l.kind = sqlc.arg(kind)::text AND l.state <> 'settled')) AND s.state <> 'settled'
RETURNING s.id;

-- name: LettersSettleRedriven :exec
-- The version that the letters were opened for, or a newer one, stands in the destination.
UPDATE dead_letters
SET state = 'settled', settled_at = rollcall_now(), settled_how = sqlc.arg(how), next_attempt_at = NULL, asked_at = NULL
WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND state <> 'settled';

-- name: LettersCountAttempts :exec
-- One more attempt failed. A permanent failure, or a cap that is reached, sends the letter to an operator. waited sums the
-- delays before attempts that were made: time in an outage, and time in review until an operator asked, do not count.
UPDATE dead_letters d
SET attempts = d.attempts + 1, waited = v.waited, last_failed_at = rollcall_now(), error_code = v.error_code, error_class = v.error_class,
    reason = CASE WHEN v.reason <> '' THEN v.reason WHEN d.error_code = v.error_code THEN d.reason END,
    answer_sealed = nullif(v.answer, ''::bytea),
    history = d.history || jsonb_build_array(jsonb_build_object('at', rollcall_now(), 'code', v.error_code, 'job', sqlc.arg(job)::text)),
    revision = d.revision + 1, asked_at = NULL,
    state = CASE WHEN v.error_class = 'permanent' OR d.attempts + 1 >= sqlc.arg(most_attempts)::integer
                      OR v.waited >= sqlc.arg(longest)::interval THEN 'review' ELSE 'waiting' END,
    next_attempt_at = CASE WHEN v.error_class = 'permanent' OR d.attempts + 1 >= sqlc.arg(most_attempts)::integer
                      OR v.waited >= sqlc.arg(longest)::interval THEN NULL
                      ELSE rollcall_now() + make_interval(secs => v.delay) END
FROM (SELECT u.*, l.waited + CASE WHEN l.asked_at IS NULL THEN
                      greatest(least(coalesce(l.next_attempt_at, rollcall_now()), rollcall_now()) - l.last_failed_at, '0')
                  ELSE '0' END AS waited
      FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(error_codes)::text[]) AS error_code,
                   unnest(sqlc.arg(error_classes)::text[]) AS error_class, unnest(sqlc.arg(delays)::double precision[]) AS delay,
                   unnest(sqlc.arg(reasons)::text[]) AS reason, unnest(sqlc.arg(answers)::bytea[]) AS answer) u
      JOIN dead_letters l USING (id)) v
WHERE d.id = v.id AND d.state <> 'settled';

-- name: LetterInsertRecords :exec
-- A page's record letters in one statement.
INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job,
                          trace_id, error_code, error_class, state, attempts, first_failed_at, last_failed_at,
                          next_attempt_at, reason, answer_sealed)
SELECT v.id, sqlc.arg(customer_id), sqlc.arg(kind), v.record_id, v.updated_at, v.hash, v.subject, sqlc.arg(job),
       sqlc.arg(trace_id), v.error_code, v.error_class,
       CASE WHEN v.error_class = 'retryable' THEN 'waiting' ELSE 'review' END, 1, rollcall_now(), rollcall_now(),
       CASE WHEN v.error_class = 'retryable' THEN rollcall_now() + sqlc.arg(first_delay)::interval END, nullif(v.reason, ''),
       nullif(v.answer, ''::bytea)
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(record_ids)::text[]) AS record_id,
             unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at, unnest(sqlc.arg(hashes)::bytea[]) AS hash,
             unnest(sqlc.arg(subjects)::text[]) AS subject, unnest(sqlc.arg(error_codes)::text[]) AS error_code,
             unnest(sqlc.arg(error_classes)::text[]) AS error_class, unnest(sqlc.arg(reasons)::text[]) AS reason,
             unnest(sqlc.arg(answers)::bytea[]) AS answer) v;

-- name: LetterInsertMessageIfNew :one
-- Idempotent by origin: the same message opens one letter, however often it is delivered. One that was published again
-- out of a letter goes on where that one ended.
INSERT INTO dead_letters (id, customer_id, kind, payload_sealed, headers_sealed, original_subject, origin, job, error_code,
                          error_class, state, attempts, first_failed_at, last_failed_at, history, reason)
SELECT sqlc.arg(id), sqlc.arg(customer_id), 'message', sqlc.arg(payload_sealed), sqlc.narg(headers_sealed), sqlc.arg(original_subject),
       sqlc.arg(origin), sqlc.arg(job), sqlc.arg(error_code)::text, 'permanent', 'review',
       sqlc.arg(attempts)::integer + coalesce(b.attempts, 0), coalesce(b.first_failed_at, rollcall_now()), rollcall_now(),
       CASE WHEN b.id IS NULL THEN '[]'::jsonb
            ELSE b.history || jsonb_build_array(jsonb_build_object(
                'at', rollcall_now(), 'code', sqlc.arg(error_code)::text, 'job', sqlc.arg(job)::text, 'letterId', b.id)) END,
       sqlc.narg(reason)::text
FROM (SELECT sqlc.arg(redriven)::uuid AS id) of
LEFT JOIN dead_letters b ON b.id = of.id AND b.customer_id = sqlc.arg(customer_id) AND b.kind = 'message'
      AND b.state = 'settled' AND b.settled_how = 'redriven'
ON CONFLICT (origin) DO NOTHING
RETURNING first_failed_at;

-- name: LetterAwait :exec
-- Waits for the transaction that has the letter in hand: what a letter's message was published for may fail before the letter is
-- settled.
SELECT FROM dead_letters WHERE id = $1 FOR SHARE;

-- name: LettersOpenCount :one
SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND state <> 'settled';

-- name: LettersOpenUnder :one
-- Whether a message letter of the customer is open whose message was published below a subject.
SELECT EXISTS (SELECT FROM dead_letters
               WHERE customer_id = $1 AND kind = 'message' AND state <> 'settled' AND starts_with(original_subject, sqlc.arg(prefix)));
