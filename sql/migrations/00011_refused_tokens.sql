-- +goose Up
-- What VOMO says of a customer's token.
CREATE TABLE customer_tokens (
    customer_id text PRIMARY KEY,
    worked_at   timestamptz,                              -- to the hour
    refused_at  timestamptz,                              -- the last refusal; null while it works
    try_at      timestamptz                               -- a switched-off token that had worked is tried again then
);
CREATE INDEX customer_tokens_refused ON customer_tokens (refused_at) WHERE refused_at IS NOT NULL;
CREATE INDEX customer_tokens_try ON customer_tokens (try_at) WHERE try_at IS NOT NULL;

-- Whether VOMO refuses the tokens of many customers at once, which is its own fault: one row for the installation.
CREATE TABLE vomo_refusals (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    began_at  timestamptz,                                -- null: it never did
    worked_at timestamptz,                                -- a refused token worked again since
    over_at   timestamptz
);
INSERT INTO vomo_refusals DEFAULT VALUES;

-- +goose Down
DROP TABLE vomo_refusals, customer_tokens;
