-- name: LettersLockUnpublished :many
-- A batch of letters whose message in the stream is not the current one: settled letters, or open ones. Letters that another
-- transaction has locked are left to it. So are letters that were asked for a moment ago: their retry changes them again.
SELECT id, customer_id, kind, state, record_id, source_updated_at, error_code, error_class, attempts, first_failed_at, job, trace_id,
       original_subject, revision
FROM dead_letters
WHERE ((state <> 'settled' AND published_revision IS DISTINCT FROM revision) OR (state = 'settled' AND published_revision IS NOT NULL))
  AND (state = 'settled') = sqlc.arg(settled)::boolean
  AND (state = 'settled' OR asked_at IS NULL OR asked_at <= rollcall_now() - sqlc.arg(asked_ago)::interval)
ORDER BY first_failed_at, id LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED;

-- name: LettersNotePublished :exec
UPDATE dead_letters SET published_revision = revision WHERE id = ANY(sqlc.arg(ids)::uuid[]);

-- name: LettersNotePurged :exec
UPDATE dead_letters SET published_revision = NULL WHERE id = ANY(sqlc.arg(ids)::uuid[]);

-- name: LettersPublished :many
-- The letters that should have a message in the stream, by id.
SELECT id, customer_id, kind, state, published_revision::integer AS revision FROM dead_letters
WHERE published_revision IS NOT NULL AND id > sqlc.arg(after)::uuid
ORDER BY id LIMIT sqlc.arg(at_most);

-- name: LettersPublishAgain :execrows
-- Letters whose message is gone, unless they were settled or published again meanwhile.
UPDATE dead_letters d SET published_revision = NULL
FROM (SELECT unnest(sqlc.arg(ids)::uuid[]) AS id, unnest(sqlc.arg(revisions)::integer[]) AS revision) v
WHERE d.id = v.id AND d.state <> 'settled' AND d.published_revision = v.revision;

-- name: LettersPublishedCount :one
SELECT count(*) FROM dead_letters WHERE published_revision IS NOT NULL;

-- name: LettersUnpublishedCount :one
SELECT count(*) FROM dead_letters
WHERE (state <> 'settled' AND published_revision IS DISTINCT FROM revision) OR (state = 'settled' AND published_revision IS NOT NULL);
