-- +goose Up
-- What waits for a person's decision. The rows are the same for all kinds; what a decision leads to is the business of the
-- kind's service.
CREATE TABLE review_items (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id    text NOT NULL,
    kind           text NOT NULL,                     -- 'user': a write-back to VOMO
    source_id      bigint NOT NULL,                   -- the row that it is about, in the kind's own table
    record_id      text,                              -- the user's VOMO id, if it is known
    reason         text NOT NULL,                     -- 'email_mismatch', …
    details_sealed bytea,                             -- both sides' values, with the customer's data key; null once decided
    decisions      text[] NOT NULL,                   -- that are allowed
    state          text NOT NULL CHECK (state IN ('open', 'decided', 'superseded')),
    decision       text,
    created_at     timestamptz NOT NULL,
    settled_at     timestamptz
);
CREATE UNIQUE INDEX review_items_open ON review_items (customer_id, kind, source_id) WHERE state = 'open';
CREATE INDEX review_items_customer ON review_items (customer_id, id);
CREATE INDEX review_items_waiting ON review_items (id) WHERE state = 'open';
CREATE INDEX review_items_settled ON review_items (settled_at) WHERE state <> 'open';

-- +goose Down
DROP TABLE review_items;
