-- +goose Up
-- Fields in which the platform's contact and Virtuous' contact differ, or differed: what is done about each, and since when. One row for each field
-- of a contact of the platform. The values are personal data: they are sealed, and gone as soon as the field is settled.
CREATE TABLE contact_differences (
    id               bigint GENERATED ALWAYS AS IDENTITY,
    customer_id      text NOT NULL,
    contact_id       bigint NOT NULL,                     -- of virtuous_contact_queue
    field            text NOT NULL,                       -- 'name', 'email', 'phone', 'address'
    state            text NOT NULL CHECK (state IN ('virtuous_pending', 'partner_pending', 'conflict', 'settled')),
    reason           text,                                -- of a conflict: 'partner_change', 'no_rule', …
    values_sealed    bytea,                               -- both values, with the customer's data key; null once it is settled
    other_contact_id bigint,                              -- the other one of Virtuous' contacts that has the email address
    turns            jsonb NOT NULL DEFAULT '{}',         -- the direction of the last write, and when directions changed
    decision         text,                                -- of an operator, that is still to be carried out: 'take-partner', 'take-virtuous', 'anew'
    applied_at       timestamptz,                         -- when the platform said that it has Virtuous' value
    created_at       timestamptz NOT NULL,
    state_at         timestamptz NOT NULL,                -- when the state last changed
    PRIMARY KEY (customer_id, id),
    UNIQUE (customer_id, contact_id, field),
    CHECK (state <> 'conflict' OR reason IS NOT NULL),
    CHECK (state = 'settled' OR values_sealed IS NOT NULL)
) WITH (fillfactor = 90);
CREATE INDEX contact_differences_open ON contact_differences (customer_id, state, id) WHERE state <> 'settled';

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE contact_differences ALTER COLUMN customer_id SET STATISTICS 0;

-- +goose Down
DROP TABLE contact_differences;
