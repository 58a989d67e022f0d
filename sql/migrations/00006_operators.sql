-- +goose Up
-- A backfill that an operator paused is unfinished, but nothing brings it back to work except the operator.
ALTER TABLE backfill_runs DROP CONSTRAINT backfill_runs_state_check;
ALTER TABLE backfill_runs ADD CONSTRAINT backfill_runs_state_check
    CHECK (state IN ('queued', 'running', 'parked', 'paused', 'completed', 'failed', 'cancelled'));
DROP INDEX backfill_runs_open;
CREATE UNIQUE INDEX backfill_runs_open ON backfill_runs (customer_id) WHERE state IN ('queued', 'running', 'parked', 'paused');

-- What was synced before this is written again although its version is known: it stands in another system, or
-- the destination lost it. Null: what is known is skipped.
ALTER TABLE backfill_runs ADD COLUMN rewrite_before timestamptz;
-- With rewrite_before: the destination is another system, in which ids that the one before gave mean nothing.
ALTER TABLE backfill_runs ADD COLUMN new_system boolean NOT NULL DEFAULT false;
CREATE INDEX backfill_runs_rewrite ON backfill_runs (customer_id, id) WHERE rewrite_before IS NOT NULL;
CREATE INDEX backfill_runs_customer ON backfill_runs (customer_id, id);

-- +goose Down
DROP INDEX backfill_runs_customer;
DROP INDEX backfill_runs_rewrite;
ALTER TABLE backfill_runs DROP COLUMN rewrite_before, DROP COLUMN new_system;
UPDATE backfill_runs SET state = 'parked', park_reason = 'paused' WHERE state = 'paused';
DROP INDEX backfill_runs_open;
CREATE UNIQUE INDEX backfill_runs_open ON backfill_runs (customer_id) WHERE state IN ('queued', 'running', 'parked');
ALTER TABLE backfill_runs DROP CONSTRAINT backfill_runs_state_check;
ALTER TABLE backfill_runs ADD CONSTRAINT backfill_runs_state_check
    CHECK (state IN ('queued', 'running', 'parked', 'completed', 'failed', 'cancelled'));
