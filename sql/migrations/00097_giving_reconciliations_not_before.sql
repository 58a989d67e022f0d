-- +goose Up
-- A category whose requests Virtuous rejects waits alone: the others, and donations, go on.
ALTER TABLE giving_reconciliations
    ADD COLUMN not_before  timestamptz,                   -- when it is tried again; null: at once
    ADD COLUMN failures    integer NOT NULL DEFAULT 0,    -- in a row
    ADD COLUMN fault       text,                          -- why the last one failed
    ADD COLUMN fault_since timestamptz;                   -- when the first of them failed

-- +goose Down
ALTER TABLE giving_reconciliations DROP COLUMN not_before, DROP COLUMN failures, DROP COLUMN fault, DROP COLUMN fault_since;
