-- +goose Up
-- Until when a customer's destination asked to be left alone. The destination is the one that asked: another one, set
-- since then, did not.
CREATE TABLE destination_holds (
    customer_id text PRIMARY KEY,
    destination jsonb NOT NULL,
    until       timestamptz NOT NULL
);

-- +goose Down
DROP TABLE destination_holds;
