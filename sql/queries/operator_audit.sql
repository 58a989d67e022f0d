-- name: ActNote :one
-- A message that is delivered again keeps its row.
INSERT INTO operator_audit (at, operator, nats_user, via, verb, customer_id, filter, outcome, code, result, origin)
VALUES (rollcall_now(), sqlc.narg(operator), sqlc.narg(nats_user), sqlc.arg(via), sqlc.arg(verb), sqlc.narg(customer_id), sqlc.arg(filter),
        sqlc.arg(outcome), sqlc.narg(code), sqlc.narg(result), sqlc.narg(origin))
ON CONFLICT (origin) DO UPDATE SET origin = excluded.origin
RETURNING id;

-- name: ActEnd :exec
UPDATE operator_audit SET outcome = sqlc.arg(outcome), code = sqlc.narg(code), result = sqlc.narg(result)
WHERE id = sqlc.arg(id) AND outcome = 'begun';

-- name: ActsPage :many
-- Newest first, by keyset. It is planned by the values of its conditions.
SELECT id, at, operator, nats_user, via, verb, customer_id, filter, outcome, code, result FROM operator_audit
WHERE (sqlc.narg(customer_id)::text IS NULL OR customer_id = sqlc.narg(customer_id))
  AND (sqlc.narg(verb)::text IS NULL OR verb = sqlc.narg(verb) OR starts_with(verb, sqlc.narg(verb) || '.'))
  AND (sqlc.narg(operator)::text IS NULL OR operator = sqlc.narg(operator))
  AND (sqlc.narg(since)::timestamptz IS NULL OR at >= sqlc.narg(since))
  AND (sqlc.narg(before)::bigint IS NULL OR id < sqlc.narg(before))
ORDER BY id DESC LIMIT sqlc.arg(at_most);

-- name: ActsForget :execrows
DELETE FROM operator_audit
WHERE id = ANY(ARRAY(
    SELECT o.id FROM operator_audit o WHERE o.at < rollcall_now() - sqlc.arg(older_than)::interval
    ORDER BY o.at LIMIT sqlc.arg(at_most) FOR UPDATE SKIP LOCKED));
