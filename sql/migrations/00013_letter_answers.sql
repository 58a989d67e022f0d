-- +goose Up
-- What the destination answered when it rejected the record, sealed with the customer's key; null if it said nothing,
-- and for letters of the version before.
ALTER TABLE dead_letters ADD COLUMN answer_sealed bytea;

-- +goose Down
ALTER TABLE dead_letters DROP COLUMN answer_sealed;
