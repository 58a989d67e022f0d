-- name: MappingVersions :many
-- Looks each id up by itself, through the key. With all ids at once, the planner may read all rows of the customer, because its
-- statistics say that the customer is small; each page then costs as much as the customer has users.
SELECT m.vomo_user_id, m.last_synced_updated_at, m.version_hash
FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
CROSS JOIN LATERAL (
    SELECT u.vomo_user_id, u.last_synced_updated_at, u.version_hash FROM user_mappings u
    WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id LIMIT 1) m;

-- name: PageStored :many
-- What is stored of a page's users: the mapping, and whether a scan has seen them. A user without either has no row; if that is all
-- of them, one row without an id has the time. Looks each id up as MappingVersions does.
SELECT n.now::timestamptz AS now, coalesce(k.id, '')::text AS vomo_user_id, coalesce(k.seen, false)::boolean AS seen, coalesce(k.mapped, false)::boolean AS mapped,
       coalesce(k.last_synced_updated_at, n.now)::timestamptz AS last_synced_updated_at, k.version_hash, coalesce(k.last_known_email, '')::text AS email,
       k.field_digests, coalesce(k.external_user_id, '')::text AS external_user_id, coalesce(k.last_synced_at, n.now)::timestamptz AS last_synced_at,
       coalesce(greatest(k.last_synced_updated_at, k.sent_updated_at), n.now)::timestamptz AS sent_updated_at
FROM (SELECT rollcall_now() AS now) n
LEFT JOIN LATERAL (
    SELECT v.id, s.seen, m.*
    FROM (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
    LEFT JOIN LATERAL (
        SELECT true AS mapped, u.last_synced_updated_at, u.version_hash, u.last_known_email, u.field_digests, u.external_user_id, u.last_synced_at,
               u.sent_updated_at
        FROM user_mappings u
        WHERE u.customer_id = sqlc.arg(customer_id) AND u.vomo_user_id = v.id LIMIT 1) m ON true
    LEFT JOIN LATERAL (
        SELECT true AS seen FROM scan_seen z WHERE z.scan_id = sqlc.arg(scan_id)::bigint AND z.vomo_user_id = v.id LIMIT 1) s ON true
    WHERE m.mapped OR s.seen) k ON true;

-- name: MappingUpsertNewer :execrows
-- Writes a page's mappings in one statement. An older version never replaces a newer one. An external id of our own (the
-- destination answered "stale", or without an id) does not replace one that the destination gave before, unless the
-- destination is a new system now.
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
-- Lowers the time of mappings that a version of an earlier time replaces, so that MappingUpsertNewer of the same transaction
-- replaces them.
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

-- name: AuditForgetDefault :execrows
DELETE FROM sync_audit_default
WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM sync_audit_default a WHERE a.processed_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY a.processed_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: ReconciliationLogForgetDefault :execrows
DELETE FROM virtuous_reconciliation_log_default
WHERE ctid = ANY(ARRAY(
    SELECT l.ctid FROM virtuous_reconciliation_log_default l WHERE l.run_at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY l.run_at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));

-- name: AuditDefaultUsed :one
-- Whether a default partition has a line. It must not: a month of which it has one cannot become a partition.
SELECT ((SELECT a.processed_at FROM sync_audit_default a ORDER BY a.processed_at LIMIT 1) IS NOT NULL
     OR (SELECT l.run_at FROM virtuous_reconciliation_log_default l ORDER BY l.run_at LIMIT 1) IS NOT NULL)::boolean AS used;

-- name: TableSizes :many
-- What tables take on disk, with their partitions and indexes.
SELECT t.name::text AS name,
       coalesce((SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(to_regclass(t.name)) p),
                pg_total_relation_size(to_regclass(t.name)), 0)::bigint AS bytes
FROM (SELECT unnest(sqlc.arg(names)::text[]) AS name) t;
