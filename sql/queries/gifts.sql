-- name: InboundLock :one
-- One transaction at a time applies records of a customer: a merge changes rows that another record of the customer is about. No row if
-- giving was removed.
SELECT rollcall_now()::timestamptz AS at FROM virtuous_configs
WHERE customer_id = sqlc.arg(customer_id) AND disabled_reason IS DISTINCT FROM 'removed' FOR NO KEY UPDATE;

-- name: InboundLockAgainstParts :execrows
-- As InboundLock, and no part of a delivery is added meanwhile.
SELECT FROM virtuous_configs WHERE customer_id = $1 FOR UPDATE;

-- name: PartnerGifts :many
-- Looks each id up by itself, as MappingVersions does.
SELECT g.virtuous_gift_id, g.state, coalesce(g.amount::text, '')::text AS amount, coalesce(g.currency_code, '')::text AS currency_code,
       coalesce(to_char(g.gift_date, 'YYYY-MM-DD'), '')::text AS gift_date, coalesce(g.gift_type, '')::text AS gift_type,
       coalesce(g.contact_id, 0)::bigint AS contact_id, coalesce(g.transaction_source, '')::text AS transaction_source,
       coalesce(g.transaction_id, '')::text AS transaction_id, coalesce(g.platform_donation_id, '')::text AS platform_donation_id,
       g.modified_at, g.content_hash, g.read_at, g.webhook_at, g.sealed, g.deleted_at, g.last_sync_at, g.sync_state
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id) v
CROSS JOIN LATERAL (
    SELECT p.* FROM partner_gifts p WHERE p.customer_id = sqlc.arg(customer_id) AND p.virtuous_gift_id = v.id LIMIT 1) g;

-- name: PartnerGiftsUpsert :exec
-- The caller has locked the customer and decided which version counts. The year 1 stands for no time.
INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, amount, currency_code, gift_date, gift_type, contact_id, transaction_source,
                           transaction_id, platform_donation_id, modified_at, content_hash, read_at, webhook_at, sealed, created_at, deleted_at,
                           last_sync_at)
SELECT sqlc.arg(customer_id), v.id, v.state, nullif(v.amount, '')::numeric, nullif(v.currency_code, ''), nullif(v.gift_date, '')::date,
       nullif(v.gift_type, ''), nullif(v.contact_id, 0), nullif(v.transaction_source, ''), nullif(v.transaction_id, ''),
       nullif(v.platform_donation_id, ''), nullif(v.modified_at, '0001-01-01T00:00:00Z'), nullif(v.content_hash, ''),
       nullif(v.read_at, '0001-01-01T00:00:00Z'), nullif(v.webhook_at, '0001-01-01T00:00:00Z'), nullif(v.sealed, ''), rollcall_now(),
       nullif(v.deleted_at, '0001-01-01T00:00:00Z'), v.last_sync_at
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(states)::text[]) AS state, unnest(sqlc.arg(amounts)::text[]) AS amount,
             unnest(sqlc.arg(currency_codes)::text[]) AS currency_code, unnest(sqlc.arg(gift_dates)::text[]) AS gift_date,
             unnest(sqlc.arg(gift_types)::text[]) AS gift_type, unnest(sqlc.arg(contact_ids)::bigint[]) AS contact_id,
             unnest(sqlc.arg(transaction_sources)::text[]) AS transaction_source, unnest(sqlc.arg(transaction_ids)::text[]) AS transaction_id,
             unnest(sqlc.arg(platform_donation_ids)::text[]) AS platform_donation_id, unnest(sqlc.arg(modified_ats)::timestamptz[]) AS modified_at,
             unnest(sqlc.arg(content_hashes)::bytea[]) AS content_hash, unnest(sqlc.arg(read_ats)::timestamptz[]) AS read_at,
             unnest(sqlc.arg(webhook_ats)::timestamptz[]) AS webhook_at,
             unnest(sqlc.arg(sealed)::bytea[]) AS sealed, unnest(sqlc.arg(deleted_ats)::timestamptz[]) AS deleted_at,
             unnest(sqlc.arg(last_sync_ats)::timestamptz[]) AS last_sync_at) v
ON CONFLICT (customer_id, virtuous_gift_id) DO UPDATE
SET state = excluded.state, amount = excluded.amount, currency_code = excluded.currency_code, gift_date = excluded.gift_date,
    gift_type = excluded.gift_type, contact_id = excluded.contact_id, transaction_source = excluded.transaction_source,
    transaction_id = excluded.transaction_id, platform_donation_id = excluded.platform_donation_id, modified_at = excluded.modified_at,
    content_hash = excluded.content_hash, read_at = excluded.read_at, webhook_at = excluded.webhook_at, sealed = excluded.sealed,
    deleted_at = excluded.deleted_at, last_sync_at = excluded.last_sync_at;

-- name: PartnerContacts :many
SELECT c.virtuous_contact_id, c.state, coalesce(c.contact_type, '')::text AS contact_type, coalesce(c.merges_into, 0)::bigint AS merges_into,
       coalesce(c.merged_into, 0)::bigint AS merged_into, c.modified_at, c.content_hash, c.read_at, c.webhook_at, c.sealed, c.last_sync_at
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id) v
CROSS JOIN LATERAL (
    SELECT p.* FROM partner_contacts p WHERE p.customer_id = sqlc.arg(customer_id) AND p.virtuous_contact_id = v.id LIMIT 1) c;

-- name: PartnerContactsUpsert :exec
-- As PartnerGiftsUpsert. The platform's contacts that are one of those that changed at Virtuous wait to be compared, in the same statement.
WITH changed AS (
    UPDATE virtuous_contact_queue q SET compare_wanted_at = rollcall_now()
    WHERE q.customer_id = sqlc.arg(customer_id) AND q.virtuous_contact_id IS NOT NULL AND q.virtuous_contact_id = ANY(sqlc.arg(changed_ids)::bigint[])
      AND q.status = 'confirmed')
INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, contact_type, merges_into, merged_into, modified_at, content_hash, read_at,
                              webhook_at, sealed, created_at, last_sync_at)
SELECT sqlc.arg(customer_id), v.id, v.state, nullif(v.contact_type, ''), nullif(v.merges_into, 0), nullif(v.merged_into, 0),
       nullif(v.modified_at, '0001-01-01T00:00:00Z'), v.content_hash, nullif(v.read_at, '0001-01-01T00:00:00Z'),
       nullif(v.webhook_at, '0001-01-01T00:00:00Z'), v.sealed, rollcall_now(), v.last_sync_at
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(states)::text[]) AS state, unnest(sqlc.arg(contact_types)::text[]) AS contact_type,
             unnest(sqlc.arg(merges_intos)::bigint[]) AS merges_into, unnest(sqlc.arg(merged_intos)::bigint[]) AS merged_into,
             unnest(sqlc.arg(modified_ats)::timestamptz[]) AS modified_at, unnest(sqlc.arg(content_hashes)::bytea[]) AS content_hash,
             unnest(sqlc.arg(read_ats)::timestamptz[]) AS read_at,
             unnest(sqlc.arg(webhook_ats)::timestamptz[]) AS webhook_at, unnest(sqlc.arg(sealed)::bytea[]) AS sealed,
             unnest(sqlc.arg(last_sync_ats)::timestamptz[]) AS last_sync_at) v
ON CONFLICT (customer_id, virtuous_contact_id) DO UPDATE
SET state = excluded.state, contact_type = excluded.contact_type, merges_into = excluded.merges_into, merged_into = excluded.merged_into,
    modified_at = excluded.modified_at, content_hash = excluded.content_hash, read_at = excluded.read_at, webhook_at = excluded.webhook_at,
    sealed = excluded.sealed, last_sync_at = excluded.last_sync_at;

-- name: MergedContacts :many
-- The contacts that merges connect with these, in either direction. A circle ends, because each contact is added once.
WITH RECURSIVE linked(id) AS (
    SELECT unnest(sqlc.arg(ids)::bigint[]) AS id
    UNION
    SELECT n.id FROM linked l CROSS JOIN LATERAL (
        (SELECT a.merges_into AS id FROM partner_contacts a
         WHERE a.customer_id = sqlc.arg(customer_id) AND a.virtuous_contact_id = l.id AND a.merges_into IS NOT NULL LIMIT 1)
        UNION ALL
        SELECT b.virtuous_contact_id AS id FROM partner_contacts b
        WHERE b.customer_id = sqlc.arg(customer_id) AND b.merges_into IS NOT NULL AND b.merges_into = l.id) n
)
SELECT c.virtuous_contact_id, coalesce(c.merges_into, 0)::bigint AS merges_into, coalesce(c.merged_into, 0)::bigint AS merged_into
FROM linked k CROSS JOIN LATERAL (
    SELECT p.virtuous_contact_id, p.merges_into, p.merged_into FROM partner_contacts p
    WHERE p.customer_id = sqlc.arg(customer_id) AND p.virtuous_contact_id = k.id LIMIT 1) c;

-- name: ContactsSetMerged :exec
-- 0: the contact is the end of a circle of merges.
UPDATE partner_contacts c
SET merged_into = nullif(v.into, 0), state = CASE WHEN v.into = 0 THEN 'archived' ELSE 'merged' END
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(intos)::bigint[]) AS into) v
WHERE c.customer_id = sqlc.arg(customer_id) AND c.virtuous_contact_id = v.id;

-- name: GiftsRepoint :exec
UPDATE partner_gifts g SET contact_id = v.into
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(intos)::bigint[]) AS into) v
WHERE g.customer_id = sqlc.arg(customer_id) AND g.contact_id IS NOT NULL AND g.contact_id = v.id;

-- name: DonationsRepoint :exec
UPDATE virtuous_donation_queue d SET virtuous_contact_id = v.into, updated_at = rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(intos)::bigint[]) AS into) v
WHERE d.customer_id = sqlc.arg(customer_id) AND d.virtuous_contact_id IS NOT NULL AND d.virtuous_contact_id = v.id;

-- name: ReferencesRepoint :exec
UPDATE partner_references r SET virtuous_contact_id = v.into
FROM (SELECT unnest(sqlc.arg(ids)::bigint[]) AS id, unnest(sqlc.arg(intos)::bigint[]) AS into) v
WHERE r.customer_id = sqlc.arg(customer_id) AND r.virtuous_contact_id = v.id;

-- name: ReferencesNote :exec
-- Of several contacts that had a reference, the one counts that had it last.
INSERT INTO partner_references (customer_id, reference_source, reference_id, virtuous_contact_id, noted_at)
SELECT sqlc.arg(customer_id), v.source, v.reference, v.contact, v.noted_at
FROM (SELECT unnest(sqlc.arg(sources)::text[]) AS source, unnest(sqlc.arg(reference_ids)::text[]) AS reference,
             unnest(sqlc.arg(contact_ids)::bigint[]) AS contact, unnest(sqlc.arg(noted_ats)::timestamptz[]) AS noted_at) v
ON CONFLICT (customer_id, reference_source, reference_id) DO UPDATE
SET virtuous_contact_id = excluded.virtuous_contact_id, noted_at = excluded.noted_at
WHERE (partner_references.noted_at, partner_references.virtuous_contact_id) < (excluded.noted_at, excluded.virtuous_contact_id);

-- name: DonationsOfTransactions :many
-- Locks the donations, so that no attempt changes one before it is confirmed.
SELECT d.id, d.platform_donation_id, d.status, d.transaction_source, d.body_sealed, coalesce(d.virtuous_gift_id, 0)::bigint AS virtuous_gift_id,
       coalesce(d.virtuous_contact_id, 0)::bigint AS virtuous_contact_id
FROM virtuous_donation_queue d
WHERE d.customer_id = sqlc.arg(customer_id) AND d.platform_donation_id = ANY(sqlc.arg(ids)::text[])
ORDER BY d.id FOR NO KEY UPDATE;

-- name: DonationConfirmByGift :one
-- Confirms a donation that is in the state in which it was read.
UPDATE virtuous_donation_queue
SET status = 'confirmed', confirmed_at = rollcall_now(), virtuous_gift_id = sqlc.arg(gift_id)::bigint,
    virtuous_contact_id = nullif(sqlc.arg(contact_id)::bigint, 0), recovery_path = nullif(sqlc.arg(recovery_path)::text, ''),
    submitted_at = coalesce(submitted_at, unanswered_since), next_attempt_at = NULL, next_lookup_at = NULL, attempt_started_at = NULL,
    attempt_epoch = NULL, status_at = rollcall_now(), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = sqlc.arg(was) AND status <> 'confirmed'
RETURNING submitted_at, confirmed_at;

-- name: DonationSetContact :exec
-- The gift of a confirmed donation has another contact by now.
UPDATE virtuous_donation_queue SET virtuous_contact_id = nullif(sqlc.arg(contact_id)::bigint, 0), updated_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND id = sqlc.arg(id) AND status = 'confirmed';

-- name: GiftSyncStateSet :execrows
-- Guarded by the state before.
UPDATE partner_gifts SET sync_state = sqlc.arg(state)
WHERE customer_id = sqlc.arg(customer_id) AND virtuous_gift_id = sqlc.arg(id) AND sync_state = sqlc.arg(was);
