-- +goose Up
-- When a customer's token worked last (to the hour), and since when VOMO has refused it; null while it works.
ALTER TABLE sync_configs
    ADD COLUMN token_worked_at  timestamptz,
    ADD COLUMN token_refused_at timestamptz,
    ADD COLUMN token_try_at     timestamptz;              -- a switched-off token that had worked is tried again then
CREATE INDEX sync_configs_token_refused ON sync_configs (token_refused_at) WHERE token_refused_at IS NOT NULL;
CREATE INDEX sync_configs_token_try ON sync_configs (token_try_at) WHERE token_try_at IS NOT NULL;

-- When VOMO was asked for a customer last. Without an index: the row changes with every request.
ALTER TABLE customer_budgets ADD COLUMN granted_at timestamptz;

-- Whether VOMO refuses the tokens of many customers at once, which is its own fault: one row for the installation.
CREATE TABLE vomo_refusals (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    began_at  timestamptz,                                -- null: it never did
    worked_at timestamptz,                                -- a refused token worked again since
    over_at   timestamptz
);
INSERT INTO vomo_refusals DEFAULT VALUES;

-- +goose Down
DROP TABLE vomo_refusals;
ALTER TABLE customer_budgets DROP COLUMN granted_at;
ALTER TABLE sync_configs DROP COLUMN token_worked_at, DROP COLUMN token_refused_at, DROP COLUMN token_try_at;
