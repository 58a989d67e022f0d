-- +goose Up
-- The API key with which a subscription is deleted at Virtuous, when the customer's own credential is deleted or replaced: sealed with the
-- customer's data key, and only while the subscription is 'removing'. Null: the customer's own key.
ALTER TABLE webhook_subscriptions ADD COLUMN key_sealed bytea;

-- +goose Down
ALTER TABLE webhook_subscriptions DROP COLUMN key_sealed;
