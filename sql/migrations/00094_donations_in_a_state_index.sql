-- +goose NO TRANSACTION
-- +goose Up
-- The newest donations in a state, also if few are in it.
DROP INDEX CONCURRENTLY IF EXISTS virtuous_donation_queue_state;
CREATE INDEX CONCURRENTLY virtuous_donation_queue_state ON virtuous_donation_queue (customer_id, status, id);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS virtuous_donation_queue_state;
