-- +goose NO TRANSACTION
-- +goose Up
-- All letters of a record, also settled ones.
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_record;
CREATE INDEX CONCURRENTLY dead_letters_record ON dead_letters (customer_id, record_id, first_failed_at) WHERE record_id IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_record;
