-- +goose Up
-- Retries and discards of all letters that a filter means, which dlqretry works in batches, and what became of each letter.
CREATE TABLE dlq_drains (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id   text,                                   -- null: letters of all customers
    verb          text NOT NULL CHECK (verb IN ('retry', 'discard')),
    filter        jsonb NOT NULL,                         -- in the form of the operator API
    note          text,                                   -- why letters are discarded
    as_of         timestamptz NOT NULL,                   -- ages count from then; later letters are left out
    planned       bigint NOT NULL,                        -- letters that matched at the start
    pace          integer CHECK (pace > 0),               -- letters a minute; null: as fast as it goes
    state         text NOT NULL CHECK (state IN ('running', 'done', 'aborted')),
    asked_by      text NOT NULL,                          -- '' if the caller gave no name
    position      text NOT NULL DEFAULT '',               -- the place in the list of letters behind which the next batch begins
    done_count    bigint NOT NULL DEFAULT 0,
    left_count    bigint NOT NULL DEFAULT 0,
    due_at        timestamptz,                            -- of the next batch; null: it has ended
    claim         bigint NOT NULL DEFAULT 0,              -- grows with each claim: a process that lost it changes nothing
    claimed_until timestamptz,                            -- until then one process works a batch, and no other
    created_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    CHECK ((state = 'running') = (ended_at IS NULL)),
    CHECK ((state = 'running') = (due_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX dlq_drains_due ON dlq_drains (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX dlq_drains_running ON dlq_drains (coalesce(customer_id, '')) WHERE state = 'running';
CREATE INDEX dlq_drains_customer ON dlq_drains (customer_id, id);
CREATE INDEX dlq_drains_ended ON dlq_drains (ended_at) WHERE ended_at IS NOT NULL;

-- The ledger: one row for each letter that a drain has come to. It is written in the transaction that changes the letter.
CREATE TABLE dlq_drain_items (
    drain_id    bigint NOT NULL REFERENCES dlq_drains (id) ON DELETE CASCADE,
    letter_id   uuid NOT NULL,
    customer_id text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('done', 'left')),
    reason      text CHECK ((outcome = 'left') = (reason IS NOT NULL)),
    detail      text,                                     -- more about the reason: a code, or words of our own
    nth         bigint NOT NULL GENERATED ALWAYS AS IDENTITY,      -- the order of the ledger
    at          timestamptz NOT NULL,
    PRIMARY KEY (drain_id, letter_id)
);
CREATE INDEX dlq_drain_items_listed ON dlq_drain_items (drain_id, nth);
CREATE INDEX dlq_drain_items_customer ON dlq_drain_items (customer_id);

-- +goose Down
DROP TABLE dlq_drain_items;
DROP TABLE dlq_drains;
