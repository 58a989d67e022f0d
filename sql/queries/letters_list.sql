-- name: LettersPlanByValue :exec
-- Most conditions of a list are left out by a null. Planned by their values they cost nothing, and the partial indexes
-- of open and of settled letters are found; a plan for all values finds neither.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: LettersPlanInOrder :exec
-- As LettersPlanByValue, for pages of a list: they are read in the order of an index, and Postgres stops when a page is full. It takes a
-- customer's letters for few, and would read and sort all of them for each page.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_bitmapscan', 'off', true);

-- name: LettersPage :many
-- Newest first, by keyset: what is inserted meanwhile moves no letter.
SELECT l.id, l.customer_id, l.kind, l.record_id, l.source_updated_at, l.version_hash, l.original_subject, l.origin, l.job,
       l.trace_id, l.error_code, l.error_class, l.state, l.attempts, l.first_failed_at, l.last_failed_at,
       l.next_attempt_at, l.asked_at, l.settled_at, l.settled_how, l.settled_note, l.reason,
       (l.payload_sealed IS NOT NULL)::boolean AS has_payload,
       CASE WHEN sqlc.arg(with_history)::boolean THEN l.history ELSE '[]' END::jsonb AS history,
       EXISTS (SELECT 1 FROM sync_configs c WHERE c.customer_id = l.customer_id AND c.offboarded_at IS NULL) AS mirrored
FROM dead_letters l
WHERE (l.state <> 'settled') = sqlc.arg(open)::boolean
  AND l.first_failed_at <= sqlc.arg(until)::timestamptz
  AND (sqlc.narg(since)::timestamptz IS NULL OR l.first_failed_at > sqlc.narg(since))
  AND (sqlc.narg(after_at)::timestamptz IS NULL
       OR (l.first_failed_at, l.id) < (sqlc.narg(after_at)::timestamptz, sqlc.arg(after_id)::uuid))
  AND (sqlc.narg(customer_id)::text IS NULL OR l.customer_id = sqlc.narg(customer_id))
  AND (sqlc.narg(kind)::text IS NULL OR l.kind = sqlc.narg(kind))
  AND (sqlc.narg(state)::text IS NULL OR l.state = sqlc.narg(state))
  AND (sqlc.narg(error_code)::text IS NULL OR l.error_code = sqlc.narg(error_code))
  AND (sqlc.narg(error_class)::text IS NULL OR l.error_class = sqlc.narg(error_class))
  AND (sqlc.narg(record_id)::text IS NULL OR l.record_id = sqlc.narg(record_id))
  AND (sqlc.narg(holds)::text IS NULL
       OR strpos(lower(concat_ws(E'\n', l.error_code, l.record_id, l.original_subject, l.job)), lower(sqlc.narg(holds))) > 0)
  AND (cardinality(sqlc.arg(lowest_ids)::uuid[]) = 0
       OR EXISTS (SELECT 1 FROM (SELECT unnest(sqlc.arg(lowest_ids)::uuid[]) AS lowest, unnest(sqlc.arg(highest_ids)::uuid[]) AS highest) v
                  WHERE l.id BETWEEN v.lowest AND v.highest))
ORDER BY l.first_failed_at DESC, l.id DESC
LIMIT sqlc.arg(page_size);

-- name: LettersCount :one
-- As LettersPage; stuck are those that no retry can take: an entry that had no id, and a message for no customer.
SELECT count(*) AS letters,
       count(*) FILTER (WHERE l.record_id LIKE 'unreadable-%' OR (l.kind = 'message' AND l.customer_id = '_unknown')) AS stuck
FROM dead_letters l
WHERE (l.state <> 'settled') = sqlc.arg(open)::boolean
  AND l.first_failed_at <= sqlc.arg(until)::timestamptz
  AND (sqlc.narg(since)::timestamptz IS NULL OR l.first_failed_at > sqlc.narg(since))
  AND (sqlc.narg(customer_id)::text IS NULL OR l.customer_id = sqlc.narg(customer_id))
  AND (sqlc.narg(kind)::text IS NULL OR l.kind = sqlc.narg(kind))
  AND (sqlc.narg(state)::text IS NULL OR l.state = sqlc.narg(state))
  AND (sqlc.narg(error_code)::text IS NULL OR l.error_code = sqlc.narg(error_code))
  AND (sqlc.narg(error_class)::text IS NULL OR l.error_class = sqlc.narg(error_class))
  AND (sqlc.narg(record_id)::text IS NULL OR l.record_id = sqlc.narg(record_id))
  AND (sqlc.narg(holds)::text IS NULL
       OR strpos(lower(concat_ws(E'\n', l.error_code, l.record_id, l.original_subject, l.job)), lower(sqlc.narg(holds))) > 0)
  AND (cardinality(sqlc.arg(lowest_ids)::uuid[]) = 0
       OR EXISTS (SELECT 1 FROM (SELECT unnest(sqlc.arg(lowest_ids)::uuid[]) AS lowest, unnest(sqlc.arg(highest_ids)::uuid[]) AS highest) v
                  WHERE l.id BETWEEN v.lowest AND v.highest));

-- name: LettersByCode :many
-- As LettersPage, counted by error code: the most frequent first.
SELECT l.error_code, l.error_class, count(*) AS letters, count(*) FILTER (WHERE l.state = 'review') AS review,
       min(l.first_failed_at)::timestamptz AS oldest
FROM dead_letters l
WHERE (l.state <> 'settled') = sqlc.arg(open)::boolean
  AND l.first_failed_at <= sqlc.arg(until)::timestamptz
  AND (sqlc.narg(since)::timestamptz IS NULL OR l.first_failed_at > sqlc.narg(since))
  AND (sqlc.narg(customer_id)::text IS NULL OR l.customer_id = sqlc.narg(customer_id))
  AND (sqlc.narg(kind)::text IS NULL OR l.kind = sqlc.narg(kind))
  AND (sqlc.narg(state)::text IS NULL OR l.state = sqlc.narg(state))
  AND (sqlc.narg(error_code)::text IS NULL OR l.error_code = sqlc.narg(error_code))
  AND (sqlc.narg(error_class)::text IS NULL OR l.error_class = sqlc.narg(error_class))
  AND (sqlc.narg(record_id)::text IS NULL OR l.record_id = sqlc.narg(record_id))
  AND (sqlc.narg(holds)::text IS NULL
       OR strpos(lower(concat_ws(E'\n', l.error_code, l.record_id, l.original_subject, l.job)), lower(sqlc.narg(holds))) > 0)
  AND (cardinality(sqlc.arg(lowest_ids)::uuid[]) = 0
       OR EXISTS (SELECT 1 FROM (SELECT unnest(sqlc.arg(lowest_ids)::uuid[]) AS lowest, unnest(sqlc.arg(highest_ids)::uuid[]) AS highest) v
                  WHERE l.id BETWEEN v.lowest AND v.highest))
GROUP BY l.error_code, l.error_class
ORDER BY letters DESC, l.error_code, l.error_class
LIMIT sqlc.arg(at_most);

-- name: LettersNamed :many
-- The ids behind the beginnings of ids, in whatever state: of each up to as many as tell that it is not one alone.
SELECT v.nth::integer AS nth, l.id
FROM (SELECT unnest(sqlc.arg(nths)::integer[]) AS nth, unnest(sqlc.arg(lowest_ids)::uuid[]) AS lowest,
             unnest(sqlc.arg(highest_ids)::uuid[]) AS highest) v
CROSS JOIN LATERAL (
    SELECT d.id FROM dead_letters d
    WHERE d.id BETWEEN v.lowest AND v.highest AND (sqlc.narg(customer_id)::text IS NULL OR d.customer_id = sqlc.narg(customer_id))
    ORDER BY d.id LIMIT sqlc.arg(most)) l
ORDER BY v.nth, l.id;

-- name: LettersByID :many
SELECT l.id, l.customer_id, l.kind, l.record_id, l.source_updated_at, l.version_hash, l.original_subject, l.origin, l.job,
       l.trace_id, l.error_code, l.error_class, l.state, l.attempts, l.first_failed_at, l.last_failed_at,
       l.next_attempt_at, l.asked_at, l.settled_at, l.settled_how, l.settled_note, l.reason,
       (l.payload_sealed IS NOT NULL)::boolean AS has_payload, l.history,
       EXISTS (SELECT 1 FROM sync_configs c WHERE c.customer_id = l.customer_id AND c.offboarded_at IS NULL) AS mirrored
FROM dead_letters l
WHERE l.id = ANY(sqlc.arg(ids)::uuid[])
ORDER BY l.first_failed_at DESC, l.id DESC;

-- name: LetterPayload :one
SELECT customer_id, payload_sealed FROM dead_letters WHERE id = $1;

-- name: LetterAnswer :one
-- What the destination said of a record letter's record, sealed.
SELECT customer_id, answer_sealed FROM dead_letters WHERE id = $1;

-- name: LettersKnowCustomer :one
-- A customer was onboarded under the id, or a letter has it: a message may name a customer who never came to be.
SELECT (EXISTS (SELECT 1 FROM sync_configs c WHERE c.customer_id = $1)
     OR (SELECT d.id FROM dead_letters d WHERE d.customer_id = $1 AND d.state <> 'settled' ORDER BY d.first_failed_at LIMIT 1) IS NOT NULL
     OR (SELECT d.id FROM dead_letters d WHERE d.customer_id = $1 AND d.state = 'settled' ORDER BY d.first_failed_at LIMIT 1) IS NOT NULL
    )::boolean AS known;

-- name: MappingOf :one
-- The version in which a user stands in the destination.
SELECT last_synced_updated_at, version_hash, last_synced_at FROM user_mappings
WHERE customer_id = sqlc.arg(customer_id) AND vomo_user_id = sqlc.arg(vomo_user_id);

-- name: LettersHoldOpen :many
-- Locks those that are open. A letter that a job has in hand is left to it: a statement that waits for no lock is in no other's way,
-- in whatever order others take theirs.
SELECT id FROM dead_letters
WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND state <> 'settled'
ORDER BY id FOR UPDATE SKIP LOCKED;

-- name: LettersDiscard :many
-- An operator gave them up: settled, with a line in the audit each.
WITH discarded AS (
    UPDATE dead_letters
    SET state = 'settled', settled_at = rollcall_now(), settled_how = 'discarded', settled_note = sqlc.narg(note)::text,
        next_attempt_at = NULL, asked_at = NULL
    WHERE id = ANY(sqlc.arg(ids)::uuid[]) AND state <> 'settled'
    RETURNING id, customer_id, kind, record_id, trace_id, source_updated_at
), audited AS (
    INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, trace_id, succeeded, source_updated_at, processed_at)
    SELECT customer_id, kind, coalesce(record_id, id::text), 'dlq_discard', trace_id, true, source_updated_at, rollcall_now()
    FROM discarded
)
SELECT id FROM discarded;
