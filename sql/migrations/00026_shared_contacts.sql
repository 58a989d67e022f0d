-- +goose Up
-- Two of a customer's users whose writes the destination answered with one id: one pair of those there may be.
CREATE TABLE shared_contacts (
    customer_id        text PRIMARY KEY,
    vomo_user_id       text NOT NULL,
    other_vomo_user_id text NOT NULL,
    noted_at           timestamptz NOT NULL
);

-- +goose Down
DROP TABLE shared_contacts;
