-- +goose Up
-- A rotation stores the new secret before it is sent to Virtuous. As long as Virtuous has not said that it has the new one, it may sign with
-- either, so that the one before stays valid.
ALTER TABLE webhook_subscriptions ADD COLUMN rotating_since timestamptz; -- null: no rotation waits for an answer

-- +goose Down
ALTER TABLE webhook_subscriptions DROP COLUMN rotating_since;
