-- name: MappingVersions :many
-- Each id is looked up by itself, through the key. Asked for all at once, the planner may find it cheaper to read all rows
-- of the customer, which it takes for a small one; and each page then costs what the customer has.
SELECT m.vomo_user_id, m.last_synced_updated_at, m.version_hash, m.last_known_email, m.field_digests, m.external_user_id,
       m.last_synced_at, greatest(m.last_synced_updated_at, m.sent_updated_at)::timestamptz AS sent_updated_at
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id, u.last_synced_updated_at, u.version_hash, u.last_known_email, u.field_digests, u.external_user_id,
           u.last_synced_at, u.sent_updated_at
    FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id LIMIT 1) m;

-- name: MappingUpsertNewer :execrows
-- A page's mappings in one statement. An older version never replaces a newer one. An external id that is only our
-- own (the destination answered "stale", or without an id) does not replace one that the destination gave before, unless the
-- destination is another system now.
INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at,
                           last_synced_updated_at, version_hash, field_digests, sent_updated_at)
SELECT sqlc.arg(customer_id), v.id, v.external_id, nullif(v.email, ''), rollcall_now(), v.updated_at, v.hash, v.digests,
       nullif(v.sent_at, v.updated_at)
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(external_ids)::text[]) AS external_id,
             unnest(sqlc.arg(emails)::text[]) AS email, unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at,
             unnest(sqlc.arg(hashes)::bytea[]) AS hash, unnest(sqlc.arg(digests)::bytea[]) AS digests,
             unnest(sqlc.arg(sent_ats)::timestamptz[]) AS sent_at) v
ON CONFLICT (customer_id, vomo_user_id) DO UPDATE
SET external_user_id = CASE WHEN excluded.external_user_id = 'vomo-' || excluded.vomo_user_id AND NOT sqlc.arg(anew)::boolean
                            THEN user_mappings.external_user_id ELSE excluded.external_user_id END,
    last_known_email = excluded.last_known_email,
    last_synced_at = excluded.last_synced_at, last_synced_updated_at = excluded.last_synced_updated_at,
    version_hash = excluded.version_hash, field_digests = excluded.field_digests, sent_updated_at = excluded.sent_updated_at
WHERE user_mappings.last_synced_updated_at <= excluded.last_synced_updated_at;

-- name: MappingLower :exec
-- Of mappings whose time a version of an earlier time replaces: MappingUpsertNewer of the same transaction finds them at
-- that time.
UPDATE user_mappings m SET last_synced_updated_at = v.updated_at
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at) v
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = v.id AND m.last_synced_updated_at > v.updated_at;

-- name: AuditInsertMany :exec
INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, job_id, trace_id, succeeded, error_code,
                        source_updated_at, processed_at)
SELECT sqlc.arg(customer_id), 'user', v.id, v.operation, sqlc.arg(job_id)::bigint, sqlc.arg(trace_id)::text,
       v.error_code = '', nullif(v.error_code, ''), v.updated_at, rollcall_now()
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id, unnest(sqlc.arg(error_codes)::text[]) AS error_code,
             unnest(sqlc.arg(updated_ats)::timestamptz[]) AS updated_at, unnest(sqlc.arg(operations)::text[]) AS operation) v;

-- name: MappingCount :one
SELECT count(*) FROM user_mappings WHERE customer_id = $1;
