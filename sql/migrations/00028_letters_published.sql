-- +goose Up
-- Which revision of a letter its message in ROLLCALL_DLQ has; null: it has no message there. The columns shown_revision,
-- shown_seq and shown_stream are for services of the version before alone, and go with the next release.
ALTER TABLE dead_letters ADD COLUMN published_revision integer;

-- +goose Down
ALTER TABLE dead_letters DROP COLUMN published_revision;
