-- +goose NO TRANSACTION
-- +goose Up
-- The runs under way are a few of many that wait: rollcall.api.board.show reads their rates every few seconds.
DROP INDEX CONCURRENTLY IF EXISTS runs_running;
CREATE INDEX CONCURRENTLY runs_running ON runs (id) WHERE state = 'running';

-- +goose Down
DROP INDEX CONCURRENTLY runs_running;
