-- name: ProjectsMissing :one
-- Which of these codes no active project has, by the list of any age. The list is an object: a code in lower case, and whether its project is active.
-- is_current: the list was loaded lately, by the last request for it, however long that took. No row: it was never asked for.
SELECT (c.value IS NOT NULL)::boolean AS is_known,
       coalesce(c.loaded_at >= c.asked_at AND c.loaded_at > rollcall_now() - sqlc.arg(every)::interval, false)::boolean AS is_current,
       ARRAY(SELECT w.code FROM unnest(sqlc.arg(codes)::text[]) AS w(code) WHERE (c.value -> w.code) IS DISTINCT FROM 'true'::jsonb)::text[] AS missing
FROM virtuous_catalogs c WHERE c.customer_id = sqlc.arg(customer_id) AND c.name = 'projects';

-- name: ProjectsAskIfDue :one
-- Claims the next load of the list, unless it was asked for lately. No row: it was, or the customer has no giving.
INSERT INTO virtuous_catalogs AS c (customer_id, name, asked_at)
SELECT v.customer_id, 'projects', rollcall_now()
FROM virtuous_configs v JOIN sync_configs s USING (customer_id)
WHERE v.customer_id = sqlc.arg(customer_id)::text AND v.disabled_reason IS DISTINCT FROM 'removed' AND s.offboarded_at IS NULL
ON CONFLICT (customer_id, name) DO UPDATE SET asked_at = excluded.asked_at
WHERE c.asked_at IS NULL OR c.asked_at <= excluded.asked_at - sqlc.arg(every)::interval
RETURNING coalesce(c.asked_at, rollcall_now())::timestamptz AS asked_at;

-- name: ProjectsSaveIfAsked :execrows
-- Stores the list that was asked for then: one of another organization, or that was asked for again, has another time, or no row.
UPDATE virtuous_catalogs SET value = sqlc.arg(value), loaded_at = rollcall_now()
WHERE customer_id = sqlc.arg(customer_id) AND name = 'projects' AND asked_at = sqlc.arg(asked_at)::timestamptz;
