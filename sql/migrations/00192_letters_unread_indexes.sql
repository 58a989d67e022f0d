-- +goose NO TRANSACTION
-- +goose Up
-- No statement reads them: due letters are found by customer, and the publisher has dead_letters_unpublished. Each change of a letter wrote to both.
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_due;
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_unshown;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_due;
CREATE INDEX CONCURRENTLY dead_letters_due ON dead_letters (next_attempt_at) WHERE state = 'waiting';
DROP INDEX CONCURRENTLY IF EXISTS dead_letters_unshown;
CREATE INDEX CONCURRENTLY dead_letters_unshown ON dead_letters (first_failed_at, id)
    WHERE (state <> 'settled' AND shown_revision IS DISTINCT FROM revision) OR (state = 'settled' AND shown_seq IS NOT NULL);
