-- +goose Up
-- What was done lately to any of a customer's records. The table itself has no rows, so this takes no time; the migration then builds the index of each
-- partition CONCURRENTLY (store.Migration), and a month that is added later brings its own.
CREATE INDEX sync_audit_newest ON ONLY sync_audit (customer_id, processed_at, id);

-- +goose Down
DROP INDEX sync_audit_newest;
