-- +goose Up
-- The categories of reconciliation with Virtuous that are due for a customer. A row is added by the schedule or by an operator's request,
-- and deleted when its pass is complete.
CREATE TABLE giving_reconciliations (
    customer_id text NOT NULL,
    category    text NOT NULL,                            -- 'stuck', 'needs_update', 'missed_webhook'
    place       integer NOT NULL,                         -- the order in which a customer's categories are worked
    scheduled   boolean NOT NULL,                         -- false: only an operator asked for it
    asked_at    timestamptz NOT NULL,
    progress    jsonb NOT NULL DEFAULT '{}',              -- where the pass goes on: ids and times
    PRIMARY KEY (customer_id, category)
);
CREATE INDEX giving_reconciliations_asked ON giving_reconciliations (asked_at);

-- +goose Down
DROP TABLE giving_reconciliations;
