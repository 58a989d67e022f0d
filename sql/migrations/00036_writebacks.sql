-- +goose Up
-- What an external system wants to have in VOMO: one row for each user. A newer value of a field replaces an older one that
-- was not written yet. The row stays after that, without values, so that an older message cannot bring them back.
CREATE TABLE writebacks (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id      text NOT NULL,
    vomo_user_id     text,                            -- null: not known yet
    external_user_id text,                            -- the external system's own id; null: the messages had none
    state            text NOT NULL CHECK (state IN ('waiting', 'review', 'letter', 'done')),
    values_sealed    bytea,                           -- with the customer's data key; null: there is nothing to write
    stamps           jsonb NOT NULL,                  -- of each field: when its latest value was published, in nanoseconds
    revision         integer NOT NULL DEFAULT 1,      -- grows with each message
    decision         text,                            -- an operator's, until it is carried out
    outcome          text,                            -- how the row became done
    refused          text[] NOT NULL DEFAULT '{}',    -- fields that were not written, because the external system does not own them
    attempts         integer NOT NULL DEFAULT 0,      -- attempts that VOMO rejected, since the last value came
    letter_id        uuid,                            -- the open letter, in the state 'letter'
    requested_at     timestamptz NOT NULL,            -- since when a value waits
    updated_at       timestamptz NOT NULL
);
CREATE UNIQUE INDEX writebacks_vomo ON writebacks (customer_id, vomo_user_id) WHERE vomo_user_id IS NOT NULL;
CREATE UNIQUE INDEX writebacks_external ON writebacks (customer_id, external_user_id) WHERE external_user_id IS NOT NULL;
CREATE INDEX writebacks_customer ON writebacks (customer_id, id);
CREATE INDEX writebacks_waiting ON writebacks (customer_id, requested_at, id) WHERE state = 'waiting';
CREATE INDEX writebacks_letter ON writebacks (letter_id) WHERE letter_id IS NOT NULL;

-- Why and until when a customer's rows are left alone.
CREATE TABLE writeback_holds (
    customer_id text PRIMARY KEY,
    reason      text NOT NULL,
    detail      text,
    holds       integer NOT NULL,                     -- in a row
    since       timestamptz NOT NULL,
    noted_at    timestamptz NOT NULL,
    until       timestamptz NOT NULL
);

-- +goose Down
DROP TABLE writeback_holds, writebacks;
