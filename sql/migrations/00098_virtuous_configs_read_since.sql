-- +goose Up
-- From when on complete passes of missed_webhook have read. An earlier gifts_since is read once more.
ALTER TABLE virtuous_configs ADD COLUMN read_since timestamptz;

-- Customers with a complete pass have read since then, and need not read all of it once more.
UPDATE virtuous_configs v SET read_since = least(v.onboarded_at, (v.gifts_since - 1)::timestamptz)
WHERE EXISTS (SELECT FROM sync_checkpoints c WHERE c.customer_id = v.customer_id AND c.resource = 'virtuous_gifts');

-- +goose Down
ALTER TABLE virtuous_configs DROP COLUMN read_since;
