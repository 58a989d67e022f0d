-- +goose Up
ALTER TABLE partner_contacts ADD COLUMN webhook_at timestamptz; -- as in partner_gifts

-- +goose Down
ALTER TABLE partner_contacts DROP COLUMN webhook_at;
