-- +goose Up
-- What reconciliations did with a record of Virtuous. The table itself has no rows, so this takes no time; the migration then builds the index of each
-- partition CONCURRENTLY (store.Migration), and a month that is added later brings its own.
CREATE INDEX virtuous_reconciliation_log_virtuous ON ONLY virtuous_reconciliation_log (customer_id, virtuous_record_id, run_at)
    WHERE virtuous_record_id IS NOT NULL;

-- +goose Down
DROP INDEX virtuous_reconciliation_log_virtuous;
