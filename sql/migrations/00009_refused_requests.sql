-- +goose Up
-- How many attempts in a row VOMO refused with a status that has no meaning of its own, and why a run was given up, in
-- words of our own. The version before neither counts nor resets; what it leaves is forgotten with the next page.
ALTER TABLE backfill_runs ADD COLUMN refusals integer NOT NULL DEFAULT 0, ADD COLUMN failure text;

-- +goose Down
ALTER TABLE backfill_runs DROP COLUMN refusals, DROP COLUMN failure;
