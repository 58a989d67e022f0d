-- +goose Up
-- The epoch that the last fence made. While it is the present one and the lease has not run out, the lane is closing:
-- its holder commits nothing more, and the next one waits until it has let go.
ALTER TABLE customer_leases ADD COLUMN fenced_epoch bigint;

-- +goose Down
ALTER TABLE customer_leases DROP COLUMN fenced_epoch;
