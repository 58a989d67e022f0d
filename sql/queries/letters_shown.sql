-- name: LettersShownShare :exec
-- Held while letters are shown: the look for messages that no row knows waits for what is being published.
SELECT pg_advisory_xact_lock_shared(hashtext('rollcall.letters_shown'));

-- name: LettersShownExclude :exec
SELECT pg_advisory_xact_lock(hashtext('rollcall.letters_shown'));

-- name: LettersLockUnshown :many
-- A batch of which the stream shows another state than the table has: of settled letters, or of open ones.
SELECT id, customer_id, kind, state, record_id, source_updated_at, error_code, error_class, attempts, first_failed_at, job, trace_id,
       original_subject, revision, shown_seq, shown_stream
FROM dead_letters
WHERE ((state <> 'settled' AND shown_revision IS DISTINCT FROM revision) OR (state = 'settled' AND shown_seq IS NOT NULL))
  AND (state = 'settled') = sqlc.arg(settled)::boolean
ORDER BY first_failed_at, id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED;

-- name: LettersNoteShown :exec
UPDATE dead_letters d
SET shown_revision = d.revision, shown_seq = v.seq, shown_stream = sqlc.arg(stream)::timestamptz
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(seqs)::bigint[]) AS seq) v
WHERE d.id = v.id;

-- name: LettersNoteGone :exec
UPDATE dead_letters SET shown_revision = NULL, shown_seq = NULL, shown_stream = NULL WHERE id = ANY(sqlc.arg(ids)::uuid[]);

-- name: LettersForgetShownElsewhere :execrows
-- What was shown in a stream that is no more.
UPDATE dead_letters SET shown_revision = NULL, shown_seq = NULL, shown_stream = NULL
WHERE id = ANY(ARRAY(
    SELECT d.id FROM dead_letters d
    WHERE d.shown_seq IS NOT NULL AND d.shown_stream IS DISTINCT FROM sqlc.arg(stream)::timestamptz
    ORDER BY d.shown_seq LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: LettersShownBetween :many
SELECT id, shown_seq FROM dead_letters
WHERE shown_seq BETWEEN sqlc.arg(first)::bigint AND sqlc.arg(last)::bigint AND shown_stream = sqlc.arg(stream)::timestamptz
  AND state <> 'settled'
ORDER BY shown_seq;

-- name: LettersShownAs :many
SELECT shown_seq FROM dead_letters
WHERE shown_seq = ANY(sqlc.arg(seqs)::bigint[]) AND shown_stream = sqlc.arg(stream)::timestamptz AND state <> 'settled';

-- name: LettersShowAgain :execrows
-- Those whose message is gone, unless they were shown anew meanwhile.
UPDATE dead_letters d SET shown_revision = NULL, shown_seq = NULL, shown_stream = NULL
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(seqs)::bigint[]) AS seq) v
WHERE d.id = v.id AND d.shown_seq = v.seq AND d.shown_stream = sqlc.arg(stream)::timestamptz;

-- name: LettersShownCount :one
SELECT count(*) FROM dead_letters WHERE shown_seq IS NOT NULL;

-- name: LettersUnshownCount :one
SELECT count(*) FROM dead_letters
WHERE (state <> 'settled' AND shown_revision IS DISTINCT FROM revision) OR (state = 'settled' AND shown_seq IS NOT NULL);
