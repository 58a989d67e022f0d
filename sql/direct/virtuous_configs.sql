-- name: VirtuousConfig :one
-- VirtuousConfig returns the customer's settings for Virtuous and how giving stands; ErrNotFound if giving was never set up.
SELECT customer_id, enabled, coalesce(disabled_reason, '')::text AS disabled_reason, onboarded_at, removed_at,
       coalesce(transaction_source, '')::text AS transaction_source, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
       coalesce(imports_url, '')::text AS imports_url, coalesce(to_char(gifts_since, 'YYYY-MM-DD'), '')::text AS gifts_since, create_webhook,
       resolution, organization_id, organization_name, time_zone, culture, last_webhook_at, last_reconciled_at, read_since, updated_at
FROM virtuous_configs WHERE customer_id = sqlc.arg(customer);

-- name: CaptureSettings :one
-- CaptureSettings returns what a donation of the customer is captured with; ErrNotFound if the customer is not onboarded. KeyID is "" if it has no
-- data key yet. All of it is of one moment: a key of before an offboarding does not come with settings of after it.
SELECT (v.customer_id IS NOT NULL AND v.disabled_reason IS DISTINCT FROM 'removed')::boolean AS has_giving,
       coalesce(v.transaction_source, '')::text AS transaction_source, coalesce(v.designations_field, '')::text AS designations_field,
       coalesce(v.defaults, '{}')::jsonb AS defaults, coalesce(v.time_zone, '')::text AS time_zone,
       coalesce(k.key_id, '')::text AS key_id, coalesce(k.sealed_key, '')::bytea AS sealed_key
FROM sync_configs s LEFT JOIN virtuous_configs v USING (customer_id) LEFT JOIN customer_keys k USING (customer_id)
WHERE s.customer_id = sqlc.arg(customer)::text AND s.offboarded_at IS NULL;
