-- name: OutboxDepth :one
-- OutboxDepth returns how many messages wait to be published.
SELECT count(*) FROM outbox;

-- name: OutboxStalled :one
-- OutboxStalled returns for how long the bus has refused the oldest message, or for how long a message has been due without a
-- relay that publishes it. A message whose subject is busy waits for its turn and does not count.
SELECT greatest(rollcall_now() - least(
    (SELECT min(refused_since) FROM outbox WHERE refused_since IS NOT NULL),
    (SELECT next_attempt_at FROM outbox ORDER BY next_attempt_at, id LIMIT 1)), '0')::interval AS stalled;
