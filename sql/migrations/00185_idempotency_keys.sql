-- +goose Up
-- Requests of the HTTP API that named a key, and their answers. Of a key only its SHA-256 is here. request_hash is keyed with the key itself, which is
-- not here, so that what a request sent cannot be guessed from it.
CREATE TABLE idempotency_keys (
    principal     text NOT NULL,                          -- who sent it: the same key of another principal is another row
    key_hash      bytea NOT NULL CHECK (length(key_hash) = 32),
    request_hash  bytea NOT NULL CHECK (length(request_hash) = 32),
    holder        uuid NOT NULL,                          -- the request that may keep its answer here
    lease_until   timestamptz NOT NULL,                   -- without an answer: until then the request counts as under way
    customer_id   text,                                   -- the customer that it is about: an offboarding deletes the row
    status        integer,                                -- null: there is no answer yet
    answer_sealed bytea CHECK ((answer_sealed IS NULL) = (status IS NULL)),
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (principal, key_hash)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_customer ON idempotency_keys (customer_id) WHERE customer_id IS NOT NULL;

-- +goose Down
DROP TABLE idempotency_keys;
