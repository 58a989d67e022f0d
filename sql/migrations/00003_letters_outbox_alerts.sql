-- +goose Up
-- Dead letters: this table is the truth, the stream ROLLCALL_DLQ shows the open ones.
CREATE TABLE dead_letters (
    id                uuid PRIMARY KEY,
    customer_id       text NOT NULL,                      -- '_unknown' where no customer could be read
    kind              text NOT NULL,                      -- 'user': a record; 'message': a message
    record_id         text,                               -- record letters: the VOMO id
    source_updated_at timestamptz,                        -- record letters: the version that was refused
    version_hash      bytea,
    payload_sealed    bytea,                              -- message letters: the original bytes
    original_subject  text NOT NULL,
    origin            text UNIQUE,                        -- message letters: stream, its creation time, sequence
    job               text NOT NULL,
    trace_id          text,
    error_code        text NOT NULL,
    error_class       text NOT NULL CHECK (error_class IN ('retryable', 'permanent')),
    state             text NOT NULL CHECK (state IN ('waiting', 'review', 'settled')),
    attempts          integer NOT NULL DEFAULT 1,
    first_failed_at   timestamptz NOT NULL,
    last_failed_at    timestamptz NOT NULL,
    next_attempt_at   timestamptz,                        -- waiting letters only
    settled_at        timestamptz,
    settled_how       text                                -- 'superseded', 'retried', 'discarded', …
);
CREATE UNIQUE INDEX dead_letters_open_record ON dead_letters (customer_id, kind, record_id)
    WHERE state <> 'settled' AND record_id IS NOT NULL;
CREATE INDEX dead_letters_open ON dead_letters (customer_id, first_failed_at) WHERE state <> 'settled';
CREATE INDEX dead_letters_due ON dead_letters (next_attempt_at) WHERE state = 'waiting';

-- Messages that a committed transaction owes the bus.
CREATE TABLE outbox (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject         text NOT NULL,
    msg_id          text NOT NULL,
    headers         jsonb NOT NULL DEFAULT '{}',
    payload         bytea NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_attempt_at, id);

-- Conditions that people were told of: raised once, cleared once.
CREATE TABLE alerts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id text NOT NULL,
    type        text NOT NULL,
    severity    text NOT NULL,
    details     jsonb NOT NULL DEFAULT '{}',
    raised_at   timestamptz NOT NULL,
    cleared_at  timestamptz
);
CREATE UNIQUE INDEX alerts_standing ON alerts (customer_id, type) WHERE cleared_at IS NULL;

-- +goose Down
DROP TABLE alerts, outbox, dead_letters;
