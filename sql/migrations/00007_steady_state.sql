-- +goose Up
-- When a customer's scheduled jobs come next, what keeps them from coming, and when one was last well.
ALTER TABLE sync_configs
    ADD COLUMN paused_at         timestamptz,             -- by an operator: nothing is read or written for the customer
    ADD COLUMN disabled_reason   text,                    -- 'auth_failed'; null where enabled, or offboarded
    ADD COLUMN active_since      timestamptz,             -- from when polls were to be expected: backfilled, resumed, a new token
    ADD COLUMN last_polled_at    timestamptz,             -- the heartbeat: the end of the last successful poll
    ADD COLUMN poll_page_at      timestamptz,             -- the last page committed by a poll that has more: a long one is no stalled one
    ADD COLUMN caught_up_at      timestamptz,             -- by VOMO's clock: the mirror has what had happened by then
    ADD COLUMN next_reconcile_at timestamptz;
-- Whoever is mirrored already is polled from now on, and has not been waiting for it.
UPDATE sync_configs SET active_since = rollcall_now() WHERE backfill_completed_at IS NOT NULL;
CREATE INDEX sync_configs_poll_due ON sync_configs (next_poll_at)
    WHERE enabled AND paused_at IS NULL AND offboarded_at IS NULL AND backfill_completed_at IS NOT NULL;
CREATE INDEX sync_configs_reconcile_due ON sync_configs (next_reconcile_at)
    WHERE enabled AND paused_at IS NULL AND offboarded_at IS NULL AND backfill_completed_at IS NOT NULL;

-- The first moment after the given one at which this customer is polled. Where in the cadence it lies is the
-- customer's own, always the same: customers who were onboarded together are not polled together, and every replica
-- reckons the same.
-- +goose StatementBegin
CREATE FUNCTION next_poll_slot(customer text, cadence_minutes integer, after timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT to_timestamp((floor((extract(epoch FROM after) - own.place) / own.period) + 1) * own.period + own.place)
    FROM (SELECT cadence_minutes * 60::numeric AS period,
                 mod(hashtext(customer)::numeric + 2147483648, cadence_minutes * 60::numeric) AS place) own
$$;
-- +goose StatementEnd

-- An unfinished poll or daily reconciliation: the work of a message that only wakes a worker. One of a kind a
-- customer; the row goes when the run ends, and its line in the job log stays.
CREATE TABLE sync_runs (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id     text NOT NULL,
    kind            text NOT NULL,                        -- 'poll', 'user_daily'
    job_id          bigint NOT NULL REFERENCES job_log (id),
    trace_id        text NOT NULL,
    state           text NOT NULL CHECK (state IN ('queued', 'running', 'parked')),
    updated_after   timestamptz NOT NULL,                 -- who changed since is read
    covered_until   timestamptz NOT NULL,                 -- the checkpoint when the run began: what polls had answered for
    day             date,                                 -- user_daily: the day that it is the reconciliation of
    cursor          jsonb NOT NULL DEFAULT '{}',
    scan_started_at timestamptz,                          -- by VOMO's own clock
    highest_seen    timestamptz,
    pages           bigint NOT NULL DEFAULT 0,
    processed       bigint NOT NULL DEFAULT 0,            -- users read, each once
    written         bigint NOT NULL DEFAULT 0,
    failures        bigint NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,           -- claims since the last committed page
    parks           integer NOT NULL DEFAULT 0,           -- parks in a row since the last committed page
    park_reason     text,
    due_at          timestamptz NOT NULL,
    epoch           bigint,                               -- the lane's, of the worker that wrote last
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (customer_id, kind)
);
CREATE INDEX sync_runs_due ON sync_runs (kind, due_at);

-- Keyed digests of a record's fields, so that an event can name those that changed without anybody keeping what
-- they held.
ALTER TABLE user_mappings ADD COLUMN field_digests bytea;

-- How the stream ROLLCALL_DLQ shows a letter, and what became of its attempts.
ALTER TABLE dead_letters
    ADD COLUMN history        jsonb NOT NULL DEFAULT '[]', -- [{"at":…,"code":…,"job":…}], the attempts after the first
    ADD COLUMN revision       integer NOT NULL DEFAULT 1,  -- grows with every change that the stream shows
    ADD COLUMN shown_revision integer,                     -- null: the stream does not show it
    ADD COLUMN shown_seq      bigint,
    ADD COLUMN shown_stream   timestamptz,                 -- creation time of the stream that shown_seq is in
    ADD COLUMN asked_at       timestamptz,                 -- an operator asked for the next attempt
    ADD COLUMN waited         interval NOT NULL DEFAULT '0', -- for attempts that were made: outages and pauses are none of it
    ADD COLUMN settled_note   text,
    ADD COLUMN reason         text;                         -- message letters: what was wrong, in words of our own
CREATE INDEX dead_letters_unshown ON dead_letters (first_failed_at, id)
    WHERE (state <> 'settled' AND shown_revision IS DISTINCT FROM revision) OR (state = 'settled' AND shown_seq IS NOT NULL);
CREATE INDEX dead_letters_shown ON dead_letters (shown_seq) WHERE shown_seq IS NOT NULL;
CREATE INDEX dead_letters_waiting ON dead_letters (customer_id, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX dead_letters_age ON dead_letters (first_failed_at) WHERE state <> 'settled';
CREATE INDEX dead_letters_settled ON dead_letters (first_failed_at) WHERE state = 'settled'; -- lists of them, newest first
CREATE INDEX dead_letters_settled_of ON dead_letters (customer_id, first_failed_at) WHERE state = 'settled';

-- Which message was told on which way, so that a repetition of it, or of the other way alone, tells nobody twice.
CREATE TABLE notifications (
    message_id text NOT NULL,                             -- the alert's or event's Nats-Msg-Id
    channel    text NOT NULL,                             -- 'webhook', 'mail_customer', 'mail_operators:' and a digest of whom
    outcome    text NOT NULL,                             -- 'sent'; 'failed': refused for good; 'skipped': there was nobody to tell
    error_code text,                                      -- why it was not sent
    sent_at    timestamptz NOT NULL,
    PRIMARY KEY (message_id, channel)
);
CREATE INDEX notifications_age ON notifications (sent_at);

-- The recipe's record of each reconciliation, and who was missing.
CREATE TABLE reconciliation_runs (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id    text NOT NULL,
    type           text NOT NULL,                         -- 'user_daily', later 'user_deletions'
    date           date NOT NULL,
    job_id         bigint NOT NULL,
    trace_id       text,
    expected_count bigint NOT NULL,
    gap_count      bigint NOT NULL,
    failure_count  bigint NOT NULL DEFAULT 0,             -- gaps that got a letter
    verified       boolean,                               -- what was read agrees with VOMO's counts
    started_at     timestamptz NOT NULL,
    completed_at   timestamptz NOT NULL
);
CREATE INDEX reconciliation_runs_customer ON reconciliation_runs (customer_id, type, date DESC);
CREATE INDEX reconciliation_runs_completed ON reconciliation_runs (type, completed_at, customer_id);
CREATE TABLE reconciliation_gaps (
    job_id            bigint NOT NULL,
    customer_id       text NOT NULL,
    vomo_user_id      text NOT NULL,
    reason            text NOT NULL CHECK (reason IN ('not_in_mapping', 'stale_in_mapping')),
    source_updated_at timestamptz NOT NULL,
    noted_at          timestamptz NOT NULL,
    PRIMARY KEY (job_id, vomo_user_id)
);
CREATE INDEX reconciliation_gaps_age ON reconciliation_gaps (noted_at);

-- Lines of jobs that come again and again are deleted by their age: nobody reads the whole log for that.
CREATE INDEX job_log_age ON job_log (completed_at) WHERE job IN ('user_sync_poll', 'user_daily', 'dlq_retry', 'user_resync');

-- Alerts that are over are deleted by their age.
CREATE INDEX alerts_over ON alerts (cleared_at) WHERE cleared_at IS NOT NULL;

-- Who spent the budget today, beside the sums of all time.
ALTER TABLE customer_budgets ADD COLUMN spent_day date, ADD COLUMN spent_today jsonb NOT NULL DEFAULT '{}';

-- +goose Down
ALTER TABLE customer_budgets DROP COLUMN spent_day, DROP COLUMN spent_today;
DROP INDEX alerts_over, job_log_age;
DROP TABLE reconciliation_gaps, reconciliation_runs, notifications;
ALTER TABLE dead_letters
    DROP COLUMN history, DROP COLUMN revision, DROP COLUMN shown_revision, DROP COLUMN shown_seq, DROP COLUMN shown_stream,
    DROP COLUMN asked_at, DROP COLUMN waited, DROP COLUMN settled_note, DROP COLUMN reason;
DROP INDEX dead_letters_waiting, dead_letters_age, dead_letters_settled, dead_letters_settled_of;
ALTER TABLE user_mappings DROP COLUMN field_digests;
DROP TABLE sync_runs;
DROP FUNCTION next_poll_slot;
ALTER TABLE sync_configs
    DROP COLUMN paused_at, DROP COLUMN disabled_reason, DROP COLUMN active_since, DROP COLUMN last_polled_at, DROP COLUMN poll_page_at,
    DROP COLUMN caught_up_at, DROP COLUMN next_reconcile_at;
