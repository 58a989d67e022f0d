-- +goose Up
-- How far an offboarding is. The customer is switched off, without credentials and without a data key, in the transaction that
-- adds the row; each later step may be repeated and is recorded here. A customer that returns has no row.
CREATE TABLE offboardings (
    customer_id text PRIMARY KEY,
    step        text NOT NULL CHECK (step IN ('blank_records', 'erase_messages', 'erase_late_messages', 'retain', 'purge', 'purged')),
    job_id      bigint,                                   -- the step's open line in job_log
    begun_at    timestamptz NOT NULL,
    purge_at    timestamptz NOT NULL,                     -- until then a return continues without a backfill
    due_at      timestamptz,                              -- of the next step, or of the next attempt at it; null: purged
    cursor      text NOT NULL DEFAULT '',                 -- the last VOMO id that the step has handled
    attempts    integer NOT NULL DEFAULT 0,               -- failures in a row
    blanked     bigint NOT NULL DEFAULT 0,                -- mappings
    erased      bigint NOT NULL DEFAULT 0,                -- messages
    purged      bigint NOT NULL DEFAULT 0                 -- mappings
);
CREATE INDEX offboardings_due ON offboardings (due_at) WHERE due_at IS NOT NULL;

-- +goose Down
DROP TABLE offboardings;
