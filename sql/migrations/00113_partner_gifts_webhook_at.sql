-- +goose Up
ALTER TABLE partner_gifts ADD COLUMN webhook_at timestamptz; -- when the last webhook about the gift was received; null: none since this is noted

-- +goose Down
ALTER TABLE partner_gifts DROP COLUMN webhook_at;
