-- name: TraceDonationsOfGift :many
-- The donations that became a gift; two if it was of one, and staff gave its transaction to another.
SELECT d.platform_donation_id FROM virtuous_donation_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.virtuous_gift_id IS NOT NULL AND d.virtuous_gift_id = sqlc.arg(gift_id)::bigint
ORDER BY d.id LIMIT 5;

-- name: TraceDonationAttempts :one
SELECT d.attempt_log, d.projects_checked FROM virtuous_donation_queue d WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = sqlc.arg(id);

-- name: TraceContactAttempts :one
SELECT d.attempt_log, d.partner_published_at FROM virtuous_contact_queue d WHERE d.customer_id = sqlc.arg(customer_id) AND d.id = sqlc.arg(id);

-- name: TraceContactsOfContact :many
-- The platform's contacts that are one contact at Virtuous, the newest first; several if contacts were merged.
SELECT d.id, d.reference_id, d.confirmed_at FROM virtuous_contact_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.virtuous_contact_id IS NOT NULL AND d.virtuous_contact_id = sqlc.arg(contact_id)::bigint
ORDER BY d.id DESC LIMIT sqlc.arg(at_most);

-- name: TraceReconciliations :many
-- The newest actions about a record, by the platform's id or by Virtuous' id: two walks through an index of each month.
SELECT l.id::bigint AS id, l.run_at, l.category, coalesce(l.platform_record_id, '')::text AS platform_record_id, coalesce(l.virtuous_record_id, 0)::bigint AS virtuous_record_id,
       l.resolution, l.details, coalesce(l.entity, '')::text AS entity, coalesce(l.trace_id, '')::text AS trace_id
FROM (
    (SELECT p.* FROM virtuous_reconciliation_log p
     WHERE p.customer_id = sqlc.arg(customer_id) AND p.platform_record_id IS NOT NULL AND p.platform_record_id = sqlc.arg(platform_id)::text
       AND p.entity = ANY(sqlc.arg(entities)::text[])
     ORDER BY p.run_at DESC LIMIT sqlc.arg(at_most))
    UNION
    (SELECT v.* FROM virtuous_reconciliation_log v
     WHERE v.customer_id = sqlc.arg(customer_id) AND v.virtuous_record_id IS NOT NULL AND v.virtuous_record_id = sqlc.arg(virtuous_id)::bigint
       AND v.entity = ANY(sqlc.arg(entities)::text[])
     ORDER BY v.run_at DESC LIMIT sqlc.arg(at_most))
) l
ORDER BY l.run_at DESC, l.id DESC LIMIT sqlc.arg(at_most);

-- name: TraceLetters :many
-- The newest letters of a record, open and settled.
SELECT l.id, l.kind, l.job, l.error_code, l.error_class, l.state, l.attempts, l.first_failed_at, l.last_failed_at, l.next_attempt_at, l.settled_at,
       coalesce(l.settled_how, '')::text AS settled_how, coalesce(l.reason, '')::text AS reason
FROM dead_letters l
WHERE l.customer_id = sqlc.arg(customer_id) AND l.record_id IS NOT NULL AND l.record_id = sqlc.arg(record_id)::text AND l.kind = ANY(sqlc.arg(kinds)::text[])
ORDER BY l.first_failed_at DESC, l.id DESC LIMIT sqlc.arg(at_most);

-- name: TraceWebhookLetters :many
-- The newest open letters of deliveries: which records they are about is in what is sealed.
SELECT l.id, l.error_code, l.first_failed_at, l.payload_sealed
FROM dead_letters l
WHERE l.customer_id = sqlc.arg(customer_id) AND l.state <> 'settled' AND l.kind = 'message' AND l.original_subject = sqlc.arg(subject)::text
  AND l.payload_sealed IS NOT NULL
ORDER BY l.first_failed_at DESC LIMIT sqlc.arg(at_most);

-- name: TraceInboxWaiting :many
-- Parts of deliveries that are not applied yet, the longest due first.
SELECT i.id, i.event, i.sealed, i.received_at, i.attempts FROM webhook_inbox i
WHERE i.customer_id = sqlc.arg(customer_id) AND i.state = 'waiting' ORDER BY i.next_attempt_at, i.id LIMIT sqlc.arg(at_most);

-- name: TraceActs :many
-- What operators did about a record, among the customer's newest acts. The names are those of the fields that may have its id.
SELECT a.id, a.at, coalesce(a.operator, '')::text AS operator, a.via, a.verb, a.outcome, coalesce(a.code, '')::text AS code
FROM (SELECT o.id, o.at, o.operator, o.via, o.verb, o.outcome, o.code, o.filter FROM operator_audit o
      WHERE o.customer_id = sqlc.arg(customer_id)::text ORDER BY o.id DESC LIMIT sqlc.arg(among)) a
WHERE EXISTS (SELECT FROM unnest(sqlc.arg(names)::text[]) n WHERE a.filter ->> n = sqlc.arg(record_id)::text)
  AND EXISTS (SELECT FROM unnest(sqlc.arg(nouns)::text[]) v WHERE starts_with(a.verb, v || '.'))
ORDER BY a.id DESC LIMIT sqlc.arg(at_most);

-- name: TraceReference :one
-- The contact that an external reference means.
SELECT r.virtuous_contact_id, r.noted_at FROM partner_references r
WHERE r.customer_id = sqlc.arg(customer_id) AND r.reference_source = sqlc.arg(source) AND r.reference_id = sqlc.arg(reference_id);

-- name: TraceUser :one
-- What the destination has of a user.
SELECT m.external_user_id, m.last_synced_at, m.last_synced_updated_at FROM user_mappings m
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = sqlc.arg(vomo_user_id);

-- name: TraceUserAudit :many
-- The newest lines of the audit about a user.
SELECT a.processed_at, a.operation, a.succeeded, coalesce(a.error_code, '')::text AS error_code, a.source_updated_at
FROM sync_audit a WHERE a.customer_id = sqlc.arg(customer_id) AND a.record_id = sqlc.arg(record_id)
ORDER BY a.processed_at DESC, a.id DESC LIMIT sqlc.arg(at_most);

-- name: AuditNewest :many
-- The newest lines of a customer's audit, about any record. The planner knows that they are few, and walks the index from its end.
SELECT a.processed_at, a.resource_type, a.record_id, a.operation, a.succeeded, coalesce(a.error_code, '')::text AS error_code
FROM sync_audit a WHERE a.customer_id = sqlc.arg(customer_id)
ORDER BY a.processed_at DESC, a.id DESC LIMIT 20;

-- name: TraceUserDeletions :many
-- The user in the newest searches for deleted users.
SELECT c.run_id, c.state, coalesce(c.code, '')::text AS code, c.noted_at, c.asked_at, c.deleted_at, coalesce(r.state, '')::text AS run_state
FROM (SELECT d.run_id, d.state, d.code, d.noted_at, d.asked_at, d.deleted_at FROM deletion_candidates d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.record_id = sqlc.arg(record_id) ORDER BY d.run_id DESC LIMIT sqlc.arg(at_most)) c
LEFT JOIN deletion_runs r ON r.id = c.run_id ORDER BY c.run_id DESC;

-- name: TraceUserWriteback :one
SELECT w.id, w.state, coalesce(w.outcome, '')::text AS outcome, w.attempts, w.requested_at, w.updated_at FROM writebacks w
WHERE w.customer_id = sqlc.arg(customer_id) AND w.vomo_user_id IS NOT NULL AND w.vomo_user_id = sqlc.arg(vomo_user_id)::text;

-- name: TraceGivingHold :one
-- Why a customer's giving is left alone now. A hold ends when the customer becomes active again, or its settings or credentials change, as in
-- DonationCustomers.
SELECT h.reason, h.until FROM giving_holds h
WHERE h.customer_id = sqlc.arg(customer_id) AND h.until > rollcall_now()
  AND h.noted_at >= greatest((SELECT s.active_since FROM sync_configs s WHERE s.customer_id = sqlc.arg(customer_id)),
                             (SELECT v.updated_at FROM virtuous_configs v WHERE v.customer_id = sqlc.arg(customer_id)),
                             (SELECT max(k.updated_at) FROM credentials k WHERE k.customer_id = sqlc.arg(customer_id)));

-- name: TraceGiftDeletions :many
-- The gift in the newest searches for deleted gifts.
SELECT c.run_id, c.state, coalesce(c.code, '')::text AS code, c.noted_at, c.asked_at, c.deleted_at, coalesce(r.state, '')::text AS run_state
FROM (SELECT d.run_id, d.state, d.code, d.noted_at, d.asked_at, d.deleted_at FROM deletion_gifts d
      WHERE d.customer_id = sqlc.arg(customer_id) AND d.virtuous_gift_id = sqlc.arg(gift_id) ORDER BY d.run_id DESC LIMIT sqlc.arg(at_most)) c
LEFT JOIN deletion_runs r ON r.id = c.run_id ORDER BY c.run_id DESC;
