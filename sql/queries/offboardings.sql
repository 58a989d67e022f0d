-- name: OffboardingBegin :one
-- Begins all steps again for a customer that is offboarded already, and keeps the time at which its mapping is purged. A purge that has
-- begun goes on. The caller has locked the customer.
INSERT INTO offboardings (customer_id, step, begun_at, purge_at, due_at)
VALUES (sqlc.arg(customer_id), 'blank_records', rollcall_now(), rollcall_now() + sqlc.arg(retention)::interval, rollcall_now())
ON CONFLICT (customer_id) DO UPDATE SET
    step = CASE WHEN offboardings.step = 'purge' AND sqlc.arg(again)::boolean THEN 'purge' ELSE 'blank_records' END,
    cursor = CASE WHEN offboardings.step = 'purge' AND sqlc.arg(again)::boolean THEN offboardings.cursor ELSE '' END,
    begun_at = CASE WHEN sqlc.arg(again)::boolean THEN offboardings.begun_at ELSE excluded.begun_at END,
    purge_at = CASE WHEN sqlc.arg(again)::boolean THEN offboardings.purge_at ELSE excluded.purge_at END,
    due_at = rollcall_now(), attempts = 0
RETURNING *;

-- name: OffboardingGet :one
SELECT * FROM offboardings WHERE customer_id = $1;

-- name: OffboardingLock :one
SELECT * FROM offboardings WHERE customer_id = $1 FOR UPDATE;

-- name: OffboardingClaimDue :one
-- One process works an offboarding at a time. If it dies, the row is due again after the hold.
UPDATE offboardings o SET due_at = rollcall_now() + sqlc.arg(hold)::interval
WHERE o.customer_id = (SELECT d.customer_id FROM offboardings d WHERE d.due_at <= rollcall_now() ORDER BY d.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING o.*;

-- name: OffboardingSave :exec
-- The caller has locked the row.
UPDATE offboardings
SET step = sqlc.arg(step), job_id = sqlc.narg(job_id), cursor = sqlc.arg(cursor), blanked = sqlc.arg(blanked), erased = sqlc.arg(erased),
    purged = sqlc.arg(purged), attempts = 0, due_at = CASE WHEN sqlc.arg(step) <> 'purged' THEN
        CASE WHEN sqlc.arg(step) = 'retain' THEN purge_at ELSE rollcall_now() + sqlc.arg(delay)::interval END END
WHERE customer_id = sqlc.arg(customer_id);

-- name: OffboardingFailed :exec
UPDATE offboardings SET attempts = attempts + 1, due_at = rollcall_now() + sqlc.arg(delay)::interval WHERE customer_id = sqlc.arg(customer_id);

-- name: OffboardingRelease :exec
UPDATE offboardings SET due_at = least(due_at, rollcall_now())
WHERE customer_id = $1 AND step IN ('blank_records', 'erase_messages', 'purge');

-- name: OffboardingDelete :exec
DELETE FROM offboardings WHERE customer_id = $1;

-- name: OffboardingsMissing :many
-- Customers that a service of the version before offboarded.
SELECT c.customer_id FROM sync_configs c
WHERE c.offboarded_at IS NOT NULL AND NOT EXISTS (SELECT FROM offboardings o WHERE o.customer_id = c.customer_id OFFSET 0)
ORDER BY c.customer_id LIMIT 100;

-- name: CustomerKeyDestroy :exec
DELETE FROM customer_keys WHERE customer_id = $1;

-- name: OutboxForget :execrows
-- The customer is the last token of each subject. Letters' subjects, which end with the letter, are not published from here.
DELETE FROM outbox WHERE split_part(subject, '.', -1) = sqlc.arg(customer_id)::text;

-- name: RequestsPendingAfter :many
SELECT id, sealed_secrets FROM onboarding_requests
WHERE customer_id = sqlc.arg(customer_id) AND state = 'pending' AND sealed_secrets IS NOT NULL
  AND (stream_created, stream_seq) > (sqlc.arg(stream_created)::timestamptz, sqlc.arg(stream_seq)::bigint)
ORDER BY id;

-- name: RequestSealAgain :exec
UPDATE onboarding_requests SET sealed_secrets = sqlc.arg(sealed_secrets) WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: RequestsBlank :exec
-- What a settled request said: it may have the address of the customer's admin.
UPDATE onboarding_requests SET request = NULL WHERE customer_id = $1 AND state <> 'pending' AND request IS NOT NULL;

-- name: MappingsBlank :one
-- Blanks a batch of mappings behind a VOMO id, and returns the last id of the batch; '' if there is none. An empty hash says that the
-- version is known by its time alone.
WITH batch AS (
    SELECT u.vomo_user_id FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id > sqlc.arg(after) ORDER BY u.vomo_user_id LIMIT sqlc.arg(at_most)
), blanked AS (
    UPDATE user_mappings m SET last_known_email = NULL, version_hash = '', field_digests = NULL
    WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = ANY(ARRAY(SELECT b.vomo_user_id FROM batch b)) AND m.version_hash <> ''
    RETURNING m.vomo_user_id
)
SELECT coalesce((SELECT max(b.vomo_user_id) FROM batch b), '')::text AS last, (SELECT count(*) FROM blanked) AS blanked;

-- name: MappingsPurge :one
-- Deletes a batch of mappings behind a VOMO id, and returns the last id of the batch; '' if there is none.
WITH batch AS (
    SELECT u.vomo_user_id FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id > sqlc.arg(after) ORDER BY u.vomo_user_id LIMIT sqlc.arg(at_most)
), purged AS (
    DELETE FROM user_mappings m
    WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = ANY(ARRAY(SELECT b.vomo_user_id FROM batch b))
    RETURNING m.vomo_user_id
)
SELECT coalesce((SELECT max(b.vomo_user_id) FROM batch b), '')::text AS last, (SELECT count(*) FROM purged) AS purged;

-- name: LettersOffboard :execrows
-- Settles a batch of open letters, without what they had sealed.
UPDATE dead_letters
SET state = 'settled', settled_at = rollcall_now(), settled_how = 'offboarded', next_attempt_at = NULL, asked_at = NULL, version_hash = NULL,
    payload_sealed = NULL, headers_sealed = NULL, answer_sealed = NULL
WHERE id = ANY(ARRAY(SELECT l.id FROM dead_letters l WHERE l.customer_id = sqlc.arg(customer_id) AND l.state <> 'settled'
                     ORDER BY l.first_failed_at LIMIT sqlc.arg(at_most)));

-- name: WebhookLettersForget :execrows
-- Settles a batch of open letters that hold parts of deliveries, without what they had sealed: a retry would apply records of an
-- organization that is not the customer's any more.
UPDATE dead_letters
SET state = 'settled', settled_at = rollcall_now(), settled_how = 'other_organization', next_attempt_at = NULL, asked_at = NULL,
    payload_sealed = NULL, headers_sealed = NULL
WHERE id = ANY(ARRAY(SELECT l.id FROM dead_letters l
                     WHERE l.customer_id = sqlc.arg(customer_id) AND l.state <> 'settled' AND l.original_subject = sqlc.arg(subject)
                     ORDER BY l.first_failed_at LIMIT sqlc.arg(at_most)));

-- name: DeletionsOffboard :exec
-- Ends the customer's search for deletions.
UPDATE deletion_runs SET state = 'failed', ended_at = rollcall_now()
WHERE customer_id = $1 AND state IN ('scanning', 'asking', 'held', 'approved', 'deleting');

-- name: DeletionCandidatesOffboard :execrows
-- Deletes a batch of candidates: what they had sealed cannot be opened, so that no deletion can be undone.
DELETE FROM deletion_candidates d WHERE d.ctid = ANY(ARRAY(
    SELECT c.ctid FROM deletion_candidates c WHERE c.customer_id = sqlc.arg(customer_id) ORDER BY c.record_id LIMIT sqlc.arg(at_most)));

-- name: SyncConfigReturn :exec
-- A scan for deletions that was due in the customer's absence is not made up for: it would read all users at once.
UPDATE sync_configs SET next_deletion_scan_at = NULL WHERE customer_id = $1;

-- name: LettersReopen :execrows
-- Opens the letters of records again: polls read what changed since the checkpoint, and would not find a record that was rejected before
-- it. A letter of a record needs nothing that was sealed. One without the record's id had an id that was made with the destroyed key.
UPDATE dead_letters
SET state = 'waiting', settled_at = NULL, settled_how = NULL, next_attempt_at = rollcall_now(), revision = revision + 1
WHERE customer_id = $1 AND state = 'settled' AND settled_how = 'offboarded' AND kind = 'user' AND record_id NOT LIKE 'unreadable-%';

-- name: LettersPurge :execrows
-- Deletes a batch of settled letters. Their messages were purged from the stream before.
DELETE FROM dead_letters
WHERE id = ANY(ARRAY(SELECT l.id FROM dead_letters l
                     WHERE l.customer_id = sqlc.arg(customer_id) AND l.state = 'settled'
                     ORDER BY l.first_failed_at LIMIT sqlc.arg(at_most)));

-- name: CustomerPurge :exec
-- What else is known of the customer. The checkpoint goes with the mapping: the next onboarding reads all users. The lane's epoch and
-- the audit stay.
WITH checkpoints AS (DELETE FROM sync_checkpoints p WHERE p.customer_id = $1),
     shared AS (DELETE FROM shared_contacts s WHERE s.customer_id = $1),
     held AS (DELETE FROM destination_holds d WHERE d.customer_id = $1),
     letters AS (DELETE FROM letter_holds h WHERE h.customer_id = $1),
     spent AS (DELETE FROM customer_budgets b WHERE b.customer_id = $1),
     counted AS (DELETE FROM customer_daily_counts n WHERE n.customer_id = $1)
UPDATE sync_configs c
SET backfill_completed_at = NULL, backfill_processed_count = NULL, last_polled_at = NULL, poll_page_at = NULL, caught_up_at = NULL,
    next_poll_at = NULL, next_reconcile_at = NULL, next_deletion_scan_at = NULL, last_scan_users = NULL, active_since = NULL, stamp_lag_minutes = NULL, stamp_lag_since = NULL,
    stamp_lag_seen_at = NULL, external_system_url = '', destination = '{}', updated_at = rollcall_now()
WHERE c.customer_id = $1;

-- name: MappingAdopt :exec
-- Stores the versions that blanked mappings are adopted in: the destination has them. last_synced_at stays, because nothing was written.
UPDATE user_mappings m SET version_hash = v.hash, field_digests = v.digests, last_known_email = nullif(v.email, '')
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(hashes)::bytea[]) AS hash, unnest(sqlc.arg(digests)::bytea[]) AS digests,
             unnest(sqlc.arg(emails)::text[]) AS email) v
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = v.id AND m.version_hash = '';
