-- +goose Up
-- Since when a backfill has not got on, and what stopped its last attempt, in words of our own. Both count while parks is
-- above 0, or while the run waits for a time; the version before writes neither.
ALTER TABLE backfill_runs ADD COLUMN park_since timestamptz, ADD COLUMN park_detail text;

-- Why a customer's letters are held, and until when. A row describes the last attempt; an attempt that succeeds deletes it.
CREATE TABLE letter_holds (
    customer_id text PRIMARY KEY,
    reason      text NOT NULL,
    detail      text,
    since       timestamptz NOT NULL,                     -- the first hold in a row
    until       timestamptz NOT NULL
);

-- +goose Down
DROP TABLE letter_holds;
ALTER TABLE backfill_runs DROP COLUMN park_since, DROP COLUMN park_detail;
