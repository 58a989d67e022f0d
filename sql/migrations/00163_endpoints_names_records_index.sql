-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS endpoints_names_records;
CREATE INDEX CONCURRENTLY endpoints_names_records ON endpoints (id) WHERE names_records;

-- +goose Down
DROP INDEX CONCURRENTLY endpoints_names_records;
