-- name: ActiveAlerts :many
-- ActiveAlerts returns the customer's alerts that have not cleared.
SELECT type, severity, raised_at FROM alerts WHERE customer_id = sqlc.arg(customer) AND cleared_at IS NULL ORDER BY type;

-- name: HasActiveAlert :one
-- HasActiveAlert says whether an alert of the type is active for the customer.
SELECT EXISTS (SELECT FROM alerts WHERE customer_id = sqlc.arg(customer) AND type = sqlc.arg(kind) AND cleared_at IS NULL);

-- name: ActiveAlertsOf :many
-- ActiveAlertsOf returns the active alerts of these types, of all customers.
SELECT customer_id, type FROM alerts WHERE cleared_at IS NULL AND type = ANY(sqlc.arg(types)::text[]);

-- name: Alerts :many
-- Alerts lists alerts, newest first: those that are active, and those that cleared within the given time.
SELECT id, customer_id, type, severity, coalesce(details->>'vomoUserId', '')::text AS vomo_user_id, raised_at, cleared_at FROM alerts
WHERE (sqlc.narg(customer_id)::text IS NULL OR customer_id = sqlc.narg(customer_id)::text)
  AND (cleared_at IS NULL OR cleared_at > rollcall_now() - sqlc.arg(cleared_within)::interval)
  AND (sqlc.narg(before)::bigint IS NULL OR id < sqlc.narg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(at_most);
