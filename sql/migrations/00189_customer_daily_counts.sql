-- +goose Up
-- How many people of a customer the destination had, for each day on which the nightly reconciliation completed. Counts only.
CREATE TABLE customer_daily_counts (
    customer_id text NOT NULL,
    day         date NOT NULL,                            -- UTC, on which it was counted
    mirrored    bigint NOT NULL,
    PRIMARY KEY (customer_id, day)
);
CREATE INDEX customer_daily_counts_age ON customer_daily_counts (day);

-- +goose Down
DROP TABLE customer_daily_counts;
