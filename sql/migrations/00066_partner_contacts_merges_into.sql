-- +goose Up
-- merged_into is the end of a chain of merges. This is its next step, as Virtuous has it: with it, the order in which the merges of a
-- chain become known does not matter, and a circle is recognised.
ALTER TABLE partner_contacts ADD COLUMN merges_into bigint;

-- +goose Down
ALTER TABLE partner_contacts DROP COLUMN merges_into;
