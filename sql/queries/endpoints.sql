-- name: EndpointInsert :one
INSERT INTO endpoints (customer_id, topics, names_records, host, url_sealed, secret_sealed, created_at, updated_at)
VALUES (nullif(sqlc.arg(customer)::text, ''), sqlc.arg(topics)::text[], sqlc.arg(names_records), sqlc.arg(host), sqlc.arg(url_sealed), sqlc.arg(secret_sealed),
        rollcall_now(), rollcall_now())
RETURNING id;

-- name: EndpointGet :one
SELECT e.id, coalesce(e.customer_id, '')::text AS customer, e.topics, e.host, e.url_sealed, e.secret_sealed,
       coalesce(CASE WHEN e.secret_before_until > rollcall_now() THEN e.secret_before_sealed END, '')::bytea AS secret_before_sealed, e.secret_before_until,
       e.disabled_at, coalesce(e.disabled_reason, '')::text AS disabled_reason, e.due_at, e.failures, e.failing_since, e.created_at
FROM endpoints e WHERE e.id = $1;

-- name: EndpointsPage :many
SELECT e.id, coalesce(e.customer_id, '')::text AS customer, e.topics, e.host, e.secret_before_until, e.disabled_at,
       coalesce(e.disabled_reason, '')::text AS disabled_reason, e.due_at, e.failures, e.failing_since, e.created_at
FROM endpoints e WHERE e.id > sqlc.arg(after) ORDER BY e.id LIMIT sqlc.arg(at_most);

-- name: EndpointLock :one
SELECT e.id, coalesce(e.customer_id, '')::text AS customer, e.alerted_at, e.failures, e.disabled_at FROM endpoints e WHERE e.id = $1 FOR UPDATE;

-- name: EndpointChange :exec
-- An endpoint that is enabled again gets what is pending at once.
UPDATE endpoints e
SET topics = coalesce(sqlc.narg(topics)::text[], e.topics),
    names_records = CASE WHEN sqlc.narg(topics)::text[] IS NULL THEN e.names_records ELSE sqlc.arg(names_records)::boolean END,
    host = coalesce(sqlc.narg(host)::text, e.host), url_sealed = coalesce(sqlc.narg(url_sealed)::bytea, e.url_sealed),
    disabled_at = CASE WHEN sqlc.narg(enabled)::boolean THEN NULL WHEN NOT sqlc.narg(enabled)::boolean THEN coalesce(e.disabled_at, rollcall_now()) ELSE e.disabled_at END,
    disabled_reason = CASE WHEN sqlc.narg(enabled)::boolean THEN NULL WHEN NOT sqlc.narg(enabled)::boolean THEN coalesce(e.disabled_reason, 'operator') ELSE e.disabled_reason END,
    due_at = CASE WHEN coalesce(sqlc.narg(enabled)::boolean, e.disabled_at IS NULL) THEN
                 (SELECT min(d.next_attempt_at) FROM endpoint_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending') END,
    not_before = NULL, failures = 0, failing_since = NULL, updated_at = rollcall_now()
WHERE e.id = sqlc.arg(id);

-- name: EndpointRotate :execrows
UPDATE endpoints
SET secret_before_sealed = secret_sealed, secret_before_until = rollcall_now() + sqlc.arg(keep_for)::interval, secret_sealed = sqlc.arg(secret_sealed),
    updated_at = rollcall_now()
WHERE id = sqlc.arg(id);

-- name: EndpointDelete :execrows
DELETE FROM endpoints WHERE id = $1;

-- name: EndpointsForget :execrows
DELETE FROM endpoints WHERE customer_id = sqlc.arg(customer)::text;

-- name: EndpointDeliveriesInsert :execrows
-- Adds a delivery for each endpoint that wants the topic. A message that comes again adds nothing. The rows of the endpoints are locked, so that
-- a process which releases one of them sees the delivery.
WITH wanted AS (
    SELECT e.id, e.disabled_at FROM endpoints e
    WHERE (e.customer_id = sqlc.arg(customer)::text OR e.customer_id IS NULL) AND e.topics && sqlc.arg(topics)::text[]
    ORDER BY e.id FOR NO KEY UPDATE
), added AS (
    INSERT INTO endpoint_deliveries (endpoint_id, event_id, customer_id, topic, body, state, next_attempt_at, retry_until, last_error, created_at, settled_at)
    SELECT w.id, sqlc.arg(event_id), sqlc.arg(customer), sqlc.arg(topic), sqlc.arg(body), CASE WHEN w.disabled_at IS NULL THEN 'pending' ELSE 'failed' END,
           CASE WHEN w.disabled_at IS NULL THEN rollcall_now() END, rollcall_now() + sqlc.arg(retry_for)::interval,
           CASE WHEN w.disabled_at IS NOT NULL THEN 'endpoint_disabled' END, rollcall_now(), CASE WHEN w.disabled_at IS NOT NULL THEN rollcall_now() END
    FROM wanted w
    ON CONFLICT (endpoint_id, event_id) DO NOTHING
    RETURNING endpoint_id)
UPDATE endpoints e SET due_at = least(e.due_at, greatest(rollcall_now(), e.not_before))
FROM added a WHERE e.id = a.endpoint_id AND e.disabled_at IS NULL;

-- name: EndpointClaimDue :one
-- One process sends to an endpoint at a time. If it dies, another one may send when the hold has passed.
UPDATE endpoints e SET claim = e.claim + 1, claimed_until = rollcall_now() + sqlc.arg(hold)::interval
WHERE e.id = (SELECT d.id FROM endpoints d
              WHERE d.due_at <= rollcall_now() AND (d.claimed_until IS NULL OR d.claimed_until <= rollcall_now())
              ORDER BY d.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING e.id, coalesce(e.customer_id, '')::text AS customer, e.url_sealed, e.secret_sealed,
          coalesce(CASE WHEN e.secret_before_until > rollcall_now() THEN e.secret_before_sealed END, '')::bytea AS secret_before_sealed, e.claim, e.failures;

-- name: EndpointRelease :exec
-- The caller has locked the endpoint's row with a statement of its own, so that this one sees each delivery that was added before.
UPDATE endpoints e
SET claimed_until = NULL, failures = sqlc.arg(failures), not_before = n.not_before,
    failing_since = CASE WHEN sqlc.arg(failures) > 0 THEN coalesce(e.failing_since, rollcall_now()) END,
    due_at = CASE WHEN e.disabled_at IS NULL THEN
        (SELECT greatest(min(d.next_attempt_at), n.not_before) FROM endpoint_deliveries d WHERE d.endpoint_id = e.id AND d.state = 'pending') END
FROM (SELECT CASE WHEN sqlc.arg(pause)::interval > '0' THEN rollcall_now() + sqlc.arg(pause)::interval END AS not_before) n
WHERE e.id = sqlc.arg(id) AND e.claim = sqlc.arg(claim);

-- name: EndpointDeliveriesDue :many
SELECT d.id, d.customer_id, d.topic, d.body, d.attempts FROM endpoint_deliveries d
WHERE d.endpoint_id = sqlc.arg(endpoint_id) AND d.state = 'pending' AND d.next_attempt_at <= rollcall_now()
ORDER BY d.next_attempt_at LIMIT sqlc.arg(at_most);

-- name: EndpointDeliverySettle :execrows
UPDATE endpoint_deliveries
SET state = sqlc.arg(state)::text, attempts = attempts + 1, next_attempt_at = NULL, last_attempt_at = rollcall_now(), last_status = nullif(sqlc.arg(status)::integer, 0),
    last_error = nullif(sqlc.arg(last_error)::text, ''), answer_sealed = sqlc.narg(answer_sealed), settled_at = rollcall_now()
WHERE id = sqlc.arg(id) AND state = 'pending';

-- name: EndpointDeliveryRetry :one
-- Puts a delivery off. The last attempt is made at retry_until: after that it has failed.
UPDATE endpoint_deliveries
SET state = CASE WHEN rollcall_now() >= retry_until THEN 'failed' ELSE 'pending' END, attempts = attempts + 1,
    next_attempt_at = CASE WHEN rollcall_now() < retry_until THEN least(rollcall_now() + sqlc.arg(delay)::interval, retry_until) END,
    settled_at = CASE WHEN rollcall_now() >= retry_until THEN rollcall_now() END, last_attempt_at = rollcall_now(),
    last_status = nullif(sqlc.arg(status)::integer, 0), last_error = sqlc.arg(last_error)::text, answer_sealed = sqlc.narg(answer_sealed)
WHERE id = sqlc.arg(id) AND state = 'pending'
RETURNING (state = 'failed')::boolean AS failed;

-- name: EndpointDisable :execrows
-- What is pending fails, and can be replayed when the endpoint is enabled again.
WITH failed AS (
    UPDATE endpoint_deliveries d
    SET state = 'failed', next_attempt_at = NULL, settled_at = rollcall_now(), last_error = 'endpoint_disabled'
    WHERE d.endpoint_id = sqlc.arg(id) AND d.state = 'pending')
UPDATE endpoints e SET disabled_at = rollcall_now(), disabled_reason = sqlc.arg(reason)::text, due_at = NULL, updated_at = rollcall_now()
WHERE e.id = sqlc.arg(id) AND e.disabled_at IS NULL;

-- name: EndpointNoteAlerted :exec
UPDATE endpoints SET alerted_at = CASE WHEN sqlc.arg(alerted)::boolean THEN coalesce(alerted_at, rollcall_now()) END WHERE id = sqlc.arg(id);

-- name: EndpointsAlertedBeside :one
-- Whether another endpoint of the same customer, or another one of all customers, is failing.
SELECT count(*) > 0 AS others FROM endpoints e
WHERE (e.customer_id = nullif(sqlc.arg(customer)::text, '') OR (e.customer_id IS NULL AND sqlc.arg(customer)::text = ''))
  AND e.id <> sqlc.arg(id) AND e.alerted_at IS NOT NULL;

-- name: EndpointDeliveriesPage :many
SELECT d.id, d.event_id, d.customer_id, d.topic, d.state, d.attempts, d.next_attempt_at, d.retry_until, d.last_attempt_at,
       coalesce(d.last_status, 0)::integer AS last_status, coalesce(d.last_error, '')::text AS last_error, d.answer_sealed, d.created_at, d.settled_at
FROM endpoint_deliveries d
WHERE d.endpoint_id = sqlc.arg(endpoint_id) AND (d.created_at, d.id) < (sqlc.arg(before_at)::timestamptz, sqlc.arg(before_id)::uuid)
  AND (sqlc.arg(state)::text = '' OR d.state = sqlc.arg(state)::text)
ORDER BY d.created_at DESC, d.id DESC LIMIT sqlc.arg(at_most);

-- name: EndpointDeliveriesReplay :one
-- Has a batch of settled deliveries sent again, under their ids, in the order in which they were added.
WITH batch AS (
    SELECT d.id, d.created_at FROM endpoint_deliveries d
    WHERE d.endpoint_id = sqlc.arg(endpoint_id) AND (d.created_at, d.id) > (sqlc.arg(after_at)::timestamptz, sqlc.arg(after_id)::uuid)
    ORDER BY d.created_at, d.id LIMIT sqlc.arg(at_most)
), replayed AS (
    UPDATE endpoint_deliveries r
    SET state = 'pending', attempts = 0, next_attempt_at = rollcall_now(), retry_until = rollcall_now() + sqlc.arg(retry_for)::interval, settled_at = NULL
    FROM batch b WHERE r.id = b.id AND r.state <> 'pending'
    RETURNING r.id
), due AS (
    UPDATE endpoints e SET due_at = least(e.due_at, greatest(rollcall_now(), e.not_before))
    WHERE e.id = sqlc.arg(endpoint_id) AND e.disabled_at IS NULL AND EXISTS (SELECT FROM replayed)
), last AS (SELECT b.created_at, b.id FROM batch b ORDER BY b.created_at DESC, b.id DESC LIMIT 1)
SELECT (SELECT count(*) FROM batch) AS seen, (SELECT count(*) FROM replayed) AS replayed,
       coalesce((SELECT l.created_at FROM last l), '1970-01-01T00:00:00Z')::timestamptz AS last_at,
       coalesce((SELECT l.id FROM last l), '00000000-0000-0000-0000-000000000000')::uuid AS last_id;

-- name: EndpointDeliveriesForget :execrows
DELETE FROM endpoint_deliveries
WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM endpoint_deliveries d WHERE d.settled_at < rollcall_now() - sqlc.arg(age)::interval
    ORDER BY d.settled_at LIMIT sqlc.arg(at_most)::integer FOR UPDATE SKIP LOCKED));

-- name: EndpointRecordsLock :exec
SELECT pg_advisory_xact_lock(hashtext('rollcall.endpoint_records'));

-- name: EndpointRecordsWanted :one
SELECT count(*) > 0 AS wanted FROM (SELECT e.id FROM endpoints e WHERE e.names_records ORDER BY e.id LIMIT 1) one;

-- name: EndpointsPending :one
-- How many deliveries are to be sent, counted up to a bound, and for how long the endpoint that is due longest has been due; 0: none is.
SELECT (SELECT count(*) FROM (SELECT FROM endpoint_deliveries d WHERE d.state = 'pending' LIMIT 100000) p) AS pending,
       greatest(coalesce(extract(epoch FROM rollcall_now() - (SELECT min(e.due_at) FROM endpoints e WHERE e.due_at IS NOT NULL)), 0), 0)::float8 AS overdue_seconds;
