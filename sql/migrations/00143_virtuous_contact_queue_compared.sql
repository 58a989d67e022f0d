-- +goose Up
-- The values that were compared last, as keyed hashes: {"email":{"partner":"…","virtuous":"…"}}. A pair that was compared before is not looked at
-- again, whatever became of it, and which side has changed since then is known.
ALTER TABLE virtuous_contact_queue ADD COLUMN compared jsonb NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE virtuous_contact_queue DROP COLUMN compared;
