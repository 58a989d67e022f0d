-- +goose Up
-- An unfinished run reads a customer's users: a backfill all of them, a poll and a daily reconciliation those that changed. A
-- message only wakes a worker for it.
--
-- The tables backfill_runs and sync_runs of the version before stay for one release. Services move unfinished runs to this
-- table, again and again, because a service of the version before may add rows while both run. A backfill that ended goes
-- to backfill_runs, where services of both versions look for it; the row of a finished poll or reconciliation is deleted.
-- Ids come from the sequence of backfill_runs, so that a backfill keeps its id and no id is given twice, whichever version
-- starts the run.
CREATE TABLE runs (
    id              bigint PRIMARY KEY DEFAULT nextval('backfill_runs_id_seq'),
    customer_id     text NOT NULL,
    kind            text NOT NULL,                        -- 'backfill', 'poll', 'user_daily'
    job_id          bigint NOT NULL,                      -- its line in job_log, also the name of its scan
    trace_id        text NOT NULL,
    state           text NOT NULL CHECK (state IN ('queued', 'running', 'parked', 'paused', 'completed', 'failed', 'cancelled')),
    updated_after   timestamptz,                          -- users that changed since then are read; null: all users
    covered_until   timestamptz,                          -- the checkpoint when a poll or reconciliation began
    day             date,                                 -- user_daily: the day that it reconciles
    rewrite_before  timestamptz,                          -- users synced before this are written again; null: known versions are skipped
    new_system      boolean NOT NULL DEFAULT false,       -- with rewrite_before: ids of the destination before mean nothing
    cursor          jsonb NOT NULL DEFAULT '{}',          -- the position of the scan, which moves in each page's transaction
    scan_started_at timestamptz,                          -- by VOMO's clock
    highest_seen    timestamptz,
    pages           bigint NOT NULL DEFAULT 0,
    processed       bigint NOT NULL DEFAULT 0,            -- users read, each once
    written         bigint NOT NULL DEFAULT 0,
    skipped         bigint NOT NULL DEFAULT 0,
    failures        bigint NOT NULL DEFAULT 0,
    recovered       bigint NOT NULL DEFAULT 0,            -- users that the first reading missed
    verified        boolean,                              -- completed runs: what was read agrees with VOMO's counts
    attempts        integer NOT NULL DEFAULT 0,           -- claims since the last committed page
    parks           integer NOT NULL DEFAULT 0,           -- parks in a row since the last committed page
    park_reason     text,
    park_detail     text,
    park_since      timestamptz,
    refusals        integer NOT NULL DEFAULT 0,           -- attempts in a row that VOMO refused with a status of no special meaning
    failure         text,                                 -- failed runs: why
    due_at          timestamptz NOT NULL,
    active_seconds  double precision NOT NULL DEFAULT 0,  -- time spent working, for the measured rate
    epoch           bigint,                               -- the lane's, of the worker that claimed it last
    created_at      timestamptz NOT NULL,
    started_at      timestamptz,
    updated_at      timestamptz NOT NULL,
    completed_at    timestamptz
);
CREATE UNIQUE INDEX runs_open ON runs (customer_id, kind) WHERE state IN ('queued', 'running', 'parked', 'paused');
CREATE INDEX runs_due ON runs (kind, due_at) WHERE state IN ('queued', 'running');
CREATE INDEX runs_parked ON runs (kind, due_at) WHERE state = 'parked';
CREATE INDEX runs_backfills ON runs (id) WHERE kind = 'backfill';
CREATE INDEX runs_backfills_of ON runs (customer_id, id) WHERE kind = 'backfill';
CREATE INDEX runs_rewrite ON runs (customer_id, id) WHERE rewrite_before IS NOT NULL;

-- The runs of all three tables, in the columns of runs. An id of sync_runs may also be the id of another run.
CREATE VIEW all_runs AS
SELECT id, customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, rewrite_before, new_system, cursor,
       scan_started_at, highest_seen, pages, processed, written, skipped, failures, recovered, verified, attempts, parks,
       park_reason, park_detail, park_since, refusals, failure, due_at, active_seconds, epoch, created_at, started_at, updated_at, completed_at
FROM runs
UNION ALL
SELECT id, customer_id, 'backfill', job_id, trace_id, state, NULL, NULL, NULL, rewrite_before, new_system,
       jsonb_strip_nulls(jsonb_build_object(
           'phase', phase, 'nextPage', next_page, 'lastTotal', last_total, 'furthestPage', furthest_page, 'stepsBack', steps_back,
           'rereadPages', reread_pages, 'stalePages', stale_pages, 'doubt', doubt, 'windowFrom', window_from, 'windowTo', window_to,
           'windowUnit', window_unit, 'windowReading', window_reading, 'windowTotal', window_total, 'windowTries', window_tries,
           'unsettled', unsettled, 'pass', pass)),
       scan_started_at, highest_seen, pages, processed, written, skipped, failures, recovered, verified, attempts, parks,
       park_reason, park_detail, park_since, refusals, failure, due_at, active_seconds, epoch, created_at, started_at, updated_at, completed_at
FROM backfill_runs
UNION ALL
SELECT id, customer_id, kind, job_id, trace_id, state, updated_after, covered_until, day, NULL, false, cursor,
       scan_started_at, highest_seen, pages, processed, written, 0, failures, 0, NULL, attempts, parks,
       park_reason, park_detail, park_since, refusals, NULL, due_at, 0, epoch, created_at, NULL, updated_at, NULL
FROM sync_runs;

-- +goose Down
DROP VIEW all_runs;
DROP TABLE runs;
