-- +goose Up
-- Since when the bus refuses the message; null if it was not refused, or if its subject is only busy.
-- direct_at: when an alert was last sent to people past the bus.
ALTER TABLE outbox ADD COLUMN refused_since timestamptz, ADD COLUMN direct_at timestamptz;

-- +goose Down
ALTER TABLE outbox DROP COLUMN refused_since, DROP COLUMN direct_at;
