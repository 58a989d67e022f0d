-- name: VirtuousConfig :one
-- VirtuousConfig returns the customer's settings for Virtuous and how giving stands; ErrNotFound if giving was never set up.
SELECT customer_id, enabled, coalesce(disabled_reason, '')::text AS disabled_reason, onboarded_at, removed_at,
       coalesce(transaction_source, '')::text AS transaction_source, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
       coalesce(imports_url, '')::text AS imports_url, coalesce(to_char(gifts_since, 'YYYY-MM-DD'), '')::text AS gifts_since, create_webhook,
       organization_id, organization_name, time_zone, culture, last_webhook_at, last_reconciled_at, read_since, updated_at
FROM virtuous_configs WHERE customer_id = sqlc.arg(customer);
