-- +goose Up
-- A search for records that VOMO deleted, and what became of it: users that a complete scan does not show, and that VOMO does not
-- find by id either. A run that is held deletes nothing until an operator approves it.
CREATE TABLE deletion_runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id text NOT NULL,
    entity      text NOT NULL,                            -- 'user'
    job_id      bigint NOT NULL,                          -- its line in job_log; an approved run has a new one
    trace_id    text NOT NULL,
    state       text NOT NULL CHECK (state IN ('scanning', 'asking', 'held', 'approved', 'deleting', 'done', 'unverified', 'rejected',
                                               'expired', 'failed')),
    held_for    text CHECK (held_for IN ('share', 'all', 'empty_source', 'half_of_last_scan')),
    mapped      bigint NOT NULL,                          -- users of the customer at the destination when the run began
    scanned     bigint NOT NULL DEFAULT 0,                -- users that the scan read
    missing     bigint NOT NULL DEFAULT 0,                -- users at the destination that the scan did not show
    confirmed   bigint NOT NULL DEFAULT 0,                -- missing users that VOMO does not find by id
    deleted     bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,                -- deletions for which a letter was opened
    started_at  timestamptz NOT NULL,
    held_at     timestamptz,
    decided_at  timestamptz,                              -- when an operator approved or rejected it
    ended_at    timestamptz
);
CREATE UNIQUE INDEX deletion_runs_open ON deletion_runs (customer_id, entity)
    WHERE state IN ('scanning', 'asking', 'held', 'approved', 'deleting');
CREATE INDEX deletion_runs_customer ON deletion_runs (customer_id, id);
CREATE INDEX deletion_runs_held ON deletion_runs (held_at) WHERE state = 'held';
CREATE INDEX deletion_runs_started ON deletion_runs (started_at);

-- The missing users of a run. What may identify a person is sealed with the customer's data key.
CREATE TABLE deletion_candidates (
    run_id            bigint NOT NULL,
    record_id         text NOT NULL,                      -- the VOMO id
    customer_id       text NOT NULL,
    state             text NOT NULL CHECK (state IN ('missing', 'confirmed', 'found', 'unknown', 'deleted', 'failed', 'undo', 'restored')),
    code              text,                               -- why it is unknown, failed, or not restored
    source_updated_at timestamptz NOT NULL,               -- of the version that the destination had
    sealed            bytea NOT NULL,                     -- its address and its id at the destination
    noted_at          timestamptz NOT NULL,
    asked_at          timestamptz,                        -- when VOMO was last asked for it
    deleted_at        timestamptz,
    PRIMARY KEY (run_id, record_id)
);
CREATE INDEX deletion_candidates_state ON deletion_candidates (run_id, state, record_id);
CREATE INDEX deletion_candidates_record ON deletion_candidates (customer_id, record_id, run_id);
CREATE INDEX deletion_candidates_undo ON deletion_candidates (customer_id, record_id) WHERE state = 'undo';
CREATE INDEX deletion_candidates_age ON deletion_candidates (noted_at);

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE deletion_candidates ALTER COLUMN customer_id SET STATISTICS 0, ALTER COLUMN run_id SET STATISTICS 0;

-- +goose Down
DROP TABLE deletion_candidates, deletion_runs;
