-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_unpublished;
CREATE INDEX CONCURRENTLY dead_letters_unpublished ON dead_letters (first_failed_at, id)
    WHERE (state <> 'settled' AND published_revision IS DISTINCT FROM revision) OR (state = 'settled' AND published_revision IS NOT NULL);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_unpublished;
