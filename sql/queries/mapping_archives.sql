-- name: ArchivableCustomers :many
-- Customers that have been paused or switched off for long and still have mappings. An offboarded customer is not one of them:
-- its mapping is purged.
SELECT c.customer_id FROM sync_configs c
WHERE c.offboarded_at IS NULL AND (NOT c.enabled OR c.paused_at IS NOT NULL)
  AND greatest(c.updated_at, c.paused_at, c.last_polled_at) < rollcall_now() - sqlc.arg(inactive_for)::interval
  AND c.customer_id > sqlc.arg(after)
  AND EXISTS (SELECT FROM user_mappings m WHERE m.customer_id = c.customer_id)
ORDER BY c.customer_id LIMIT sqlc.arg(at_most);

-- name: ArchivableCustomer :one
-- As ArchivableCustomers, of one of them. The row stays locked, so that no operator resumes the customer meanwhile.
SELECT customer_id FROM sync_configs c
WHERE c.customer_id = sqlc.arg(customer_id) AND c.offboarded_at IS NULL AND (NOT c.enabled OR c.paused_at IS NOT NULL)
  AND greatest(c.updated_at, c.paused_at, c.last_polled_at) < rollcall_now() - sqlc.arg(inactive_for)::interval
FOR SHARE;

-- name: MappingsToArchive :many
-- Whole rows as JSON, so that a column that a later version adds is archived, too.
SELECT m.vomo_user_id, (to_jsonb(m) - 'customer_id')::jsonb AS mapping FROM user_mappings m
WHERE m.customer_id = sqlc.arg(customer_id) ORDER BY m.vomo_user_id LIMIT sqlc.arg(at_most);

-- name: MappingsArchive :exec
WITH archived AS (
    INSERT INTO mapping_archives (customer_id, users, sealed, archived_at)
    VALUES (sqlc.arg(customer_id), cardinality(sqlc.arg(ids)::text[]), sqlc.arg(sealed), rollcall_now())
)
DELETE FROM user_mappings m USING (SELECT unnest(sqlc.arg(ids)::text[]) AS id) v
WHERE m.customer_id = sqlc.arg(customer_id) AND m.vomo_user_id = v.id;

-- name: ArchivePart :one
SELECT part, users, sealed FROM mapping_archives WHERE customer_id = sqlc.arg(customer_id) ORDER BY part LIMIT 1;

-- name: ArchivePartDelete :exec
DELETE FROM mapping_archives WHERE customer_id = sqlc.arg(customer_id) AND part = sqlc.arg(part);

-- name: ArchiveDeleteAll :execrows
DELETE FROM mapping_archives WHERE customer_id = sqlc.arg(customer_id);

-- name: ArchivedUsersFor :many
SELECT customer_id, sum(users)::bigint AS users FROM mapping_archives
WHERE customer_id = ANY(sqlc.arg(customer_ids)::text[]) GROUP BY customer_id;
