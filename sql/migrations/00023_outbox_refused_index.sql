-- +goose NO TRANSACTION
-- +goose Up
-- The oldest message that is refused: in normal operation the index is empty.
DROP INDEX CONCURRENTLY IF EXISTS outbox_refused;
CREATE INDEX CONCURRENTLY outbox_refused ON outbox (refused_since) WHERE refused_since IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS outbox_refused;
