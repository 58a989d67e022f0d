-- +goose Up
-- attempts counts every claim of a part, also one that an outage ended.
ALTER TABLE webhook_inbox ADD COLUMN failures integer NOT NULL DEFAULT 0; -- attempts that failed because of the part, or of one of its records

-- +goose Down
ALTER TABLE webhook_inbox DROP COLUMN failures;
