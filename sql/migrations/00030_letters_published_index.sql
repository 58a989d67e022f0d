-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_published;
CREATE INDEX CONCURRENTLY dead_letters_published ON dead_letters (id) WHERE published_revision IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_published;
