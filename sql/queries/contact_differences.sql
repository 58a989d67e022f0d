-- name: ContactsWaitingForComparison :many
-- Customers with contacts that wait to be compared, by a step through the index for each that has one, unless their comparison is due already.
WITH RECURSIVE waiting AS (
    (SELECT q.customer_id FROM virtuous_contact_queue q WHERE q.compare_wanted_at IS NOT NULL ORDER BY q.customer_id LIMIT 1)
    UNION ALL
    SELECT n.customer_id FROM waiting f
    CROSS JOIN LATERAL (SELECT q.customer_id FROM virtuous_contact_queue q WHERE q.compare_wanted_at IS NOT NULL AND q.customer_id > f.customer_id
                        ORDER BY q.customer_id LIMIT 1) n
)
SELECT f.customer_id FROM waiting f
CROSS JOIN LATERAL (SELECT q.compare_wanted_at FROM virtuous_contact_queue q WHERE q.customer_id = f.customer_id AND q.compare_wanted_at IS NOT NULL
                    ORDER BY q.compare_wanted_at, q.id LIMIT 1) d
CROSS JOIN LATERAL (SELECT v.enabled FROM virtuous_configs v WHERE v.customer_id = f.customer_id AND v.enabled LIMIT 1) c
WHERE d.compare_wanted_at <= rollcall_now()
  AND NOT EXISTS (SELECT FROM giving_reconciliations r WHERE r.customer_id = f.customer_id AND r.category = sqlc.arg(category) OFFSET 0)
LIMIT sqlc.arg(at_most);

-- name: ContactsToCompare :many
-- The contacts that are due to be compared, the longest due first, after a place in this order.
SELECT id, compare_wanted_at FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND compare_wanted_at IS NOT NULL AND compare_wanted_at <= rollcall_now()
  AND (compare_wanted_at, id) > (sqlc.arg(after_time)::timestamptz, sqlc.arg(after_id)::bigint)
ORDER BY compare_wanted_at, id LIMIT sqlc.arg(at_most);

-- name: ContactPairsAfter :many
-- The next confirmed contacts in the order of their ids, and whether the pair may have drifted apart: it counts as equal, and one side changed lately.
SELECT q.id, coalesce(c.sync_state = 'in_sync' AND c.state = 'live'
        AND (c.modified_at > rollcall_now() - sqlc.arg(age)::interval OR q.partner_published_at > rollcall_now() - sqlc.arg(age)::interval), false)::boolean
       AS is_due
FROM (SELECT p.id, p.virtuous_contact_id, p.partner_published_at FROM virtuous_contact_queue p
      WHERE p.customer_id = sqlc.arg(customer_id) AND p.status = 'confirmed' AND p.id > sqlc.arg(after_id) ORDER BY p.id LIMIT sqlc.arg(at_most)) q
LEFT JOIN LATERAL (SELECT t.sync_state, t.state, t.modified_at FROM partner_contacts t
      WHERE t.customer_id = sqlc.arg(customer_id) AND t.virtuous_contact_id = q.virtuous_contact_id LIMIT 1) c ON true
ORDER BY q.id;

-- name: ContactPair :one
-- A contact as the platform has it, and which of Virtuous' contacts it is; no row unless it is confirmed.
SELECT id, reference_id, virtuous_contact_id::bigint AS virtuous_contact_id, partner_sealed, partner_modified_at, content_hash,
       (content_hash IS NOT DISTINCT FROM sent_hash)::boolean AS is_sent, compared, compare_wanted_at
FROM virtuous_contact_queue WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'confirmed';

-- name: ContactPairLock :one
-- Locks the contact, unless the platform has published another version since it was read, or it means another one of Virtuous' contacts.
SELECT id FROM virtuous_contact_queue
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'confirmed' AND content_hash = sqlc.arg(content_hash)
  AND virtuous_contact_id = sqlc.arg(virtuous_contact_id)::bigint FOR UPDATE;

-- name: ContactNoteCompared :one
-- Ends the wish for a comparison, unless it is another one than the given one, or the comparison is not at its end.
UPDATE virtuous_contact_queue
SET compared = sqlc.arg(compared), updated_at = rollcall_now(),
    compare_wanted_at = CASE WHEN sqlc.arg(goes_on)::boolean THEN coalesce(compare_wanted_at, rollcall_now())
                             WHEN compare_wanted_at IS DISTINCT FROM sqlc.narg(wanted_at)::timestamptz THEN compare_wanted_at END
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id)
RETURNING compare_wanted_at;

-- name: ContactPostponeComparison :exec
-- A comparison that was wanted anew meanwhile is not put off.
UPDATE virtuous_contact_queue SET compare_wanted_at = rollcall_now() + sqlc.arg(delay)::interval
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND compare_wanted_at = sqlc.narg(wanted_at)::timestamptz;

-- name: ContactWantComparisonOf :execrows
-- Of one contact of the platform.
UPDATE virtuous_contact_queue SET compare_wanted_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'confirmed';

-- name: ContactDifferencesOf :many
SELECT * FROM contact_differences WHERE customer_id = sqlc.arg(customer_id) AND contact_id = sqlc.arg(contact_id) ORDER BY field;

-- name: ContactDifferenceGet :one
SELECT * FROM contact_differences WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id);

-- name: ContactDifferenceSave :one
INSERT INTO contact_differences (customer_id, contact_id, field, state, reason, values_sealed, other_contact_id, turns,
                                 decision, applied_at, created_at, state_at)
VALUES (sqlc.arg(customer_id), sqlc.arg(contact_id), sqlc.arg(field), sqlc.arg(state), nullif(sqlc.arg(reason)::text, ''),
        sqlc.narg(values_sealed), nullif(sqlc.arg(other_contact_id)::bigint, 0), sqlc.arg(turns), NULL, NULL, rollcall_now(),
        rollcall_now())
ON CONFLICT (customer_id, contact_id, field) DO UPDATE
SET state = excluded.state, reason = excluded.reason, values_sealed = excluded.values_sealed, other_contact_id = excluded.other_contact_id, turns = excluded.turns, decision = NULL, applied_at = NULL,
    state_at = CASE WHEN contact_differences.state = excluded.state THEN contact_differences.state_at ELSE rollcall_now() END
RETURNING id;

-- name: ContactDifferencesApplied :many
-- The platform has Virtuous' values of these fields by now; without fields, of all that wait for it.
UPDATE contact_differences SET state = 'settled', reason = NULL, values_sealed = NULL, decision = NULL, applied_at = rollcall_now(), state_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND contact_id = sqlc.arg(contact_id) AND state = 'partner_pending'
  AND (cardinality(sqlc.arg(fields)::text[]) = 0 OR field = ANY(sqlc.arg(fields)::text[]))
RETURNING field;

-- name: ContactDifferenceDecide :execrows
-- An operator's decision about a conflict, which the next comparison carries out.
UPDATE contact_differences SET decision = sqlc.arg(decision)::text
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND state = 'conflict';

-- name: ContactDifferenceDismiss :execrows
-- Both values stay as they are, until one of them changes.
UPDATE contact_differences SET state = 'settled', reason = NULL, values_sealed = NULL, other_contact_id = NULL, decision = NULL, state_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND state = 'conflict';

-- name: ContactsWithOpenDifferencesWant :exec
-- Before ContactDifferencesDecideAnew, as a decision locks the two.
UPDATE virtuous_contact_queue q SET compare_wanted_at = rollcall_now()
WHERE q.customer_id = sqlc.arg(customer_id) AND q.status = 'confirmed' AND q.id = ANY(ARRAY(
    SELECT d.contact_id FROM contact_differences d WHERE d.customer_id = sqlc.arg(customer_id) AND d.state IN ('partner_pending', 'conflict')));

-- name: ContactDifferencesDecideAnew :exec
-- The customer's rules have changed: what waits by the rules before is decided by the new ones. An operator's decision stays.
UPDATE contact_differences d SET decision = 'anew'
WHERE d.customer_id = sqlc.arg(customer_id) AND d.state IN ('partner_pending', 'conflict') AND d.decision IS NULL;

-- name: VirtuousResolutionIs :one
SELECT (v.resolution = sqlc.arg(resolution)::jsonb)::boolean AS is_same FROM virtuous_configs v WHERE v.customer_id = sqlc.arg(customer_id);

-- name: ContactSyncStateSet :exec
-- The state of Virtuous' contact is the worst of the fields of all contacts of the platform that it is.
UPDATE partner_contacts c
SET sync_state = coalesce(
    (SELECT d.state FROM virtuous_contact_queue q
     JOIN contact_differences d ON d.customer_id = q.customer_id AND d.contact_id = q.id AND d.state <> 'settled'
     WHERE q.customer_id = sqlc.arg(customer_id) AND q.virtuous_contact_id IS NOT NULL AND q.virtuous_contact_id = sqlc.arg(virtuous_contact_id)::bigint
     ORDER BY array_position(ARRAY['conflict', 'virtuous_pending', 'partner_pending'], d.state) LIMIT 1), 'in_sync')
WHERE c.customer_id = sqlc.arg(customer_id) AND c.virtuous_contact_id = sqlc.arg(virtuous_contact_id)::bigint;

-- name: ContactDifferencesForget :execrows
-- Deletes a batch of a customer's differences.
DELETE FROM contact_differences d WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = ANY(ARRAY(
    SELECT f.id FROM contact_differences f WHERE f.customer_id = sqlc.arg(customer_id) ORDER BY f.id LIMIT sqlc.arg(at_most)));
