-- +goose Up
-- The one clock of all processes: every statement that asks for the time asks here, so that a lease, a
-- budget and a due row never depend on the clocks of the machines that the workers run on, and a test may
-- put a simulated clock in its place.
CREATE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';

-- One row a customer: what was asked for at onboarding, and whether it runs.
CREATE TABLE sync_configs (
    customer_id              text PRIMARY KEY CHECK (customer_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    external_system_url      text NOT NULL,
    destination              jsonb NOT NULL,              -- {"kind":"rest","url":…}: never a secret
    poll_cadence_minutes     integer NOT NULL DEFAULT 30,
    admin_email              text,
    requests_per_second      double precision,            -- null: the setting VOMO_REQUESTS_PER_SECOND
    requests_per_minute      double precision,            -- null: the setting VOMO_REQUESTS_PER_MINUTE; 0: no limit a minute
    enabled                  boolean NOT NULL DEFAULT true,
    onboarded_at             timestamptz NOT NULL,
    offboarded_at            timestamptz,
    backfill_completed_at    timestamptz,
    backfill_processed_count bigint,
    next_poll_at             timestamptz,
    updated_at               timestamptz NOT NULL
);

-- A customer's data key, sealed by the installation's keeper. Destroying the row is the deletion of all
-- that was sealed with it.
CREATE TABLE customer_keys (
    customer_id text PRIMARY KEY,
    key_id      text NOT NULL,                            -- which keeper key sealed it, for rotation
    sealed_key  bytea NOT NULL,
    created_at  timestamptz NOT NULL
);

-- The installation's own keys: 'data' seals what belongs to no customer, 'xkey' opens sealed tokens.
CREATE TABLE installation_keys (
    name       text PRIMARY KEY,
    key_id     text NOT NULL,
    public_key text,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE credentials (
    customer_id text NOT NULL,
    name        text NOT NULL,                            -- 'vomo_token', 'destination_token'
    sealed      bytea NOT NULL,                           -- with the customer's data key
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (customer_id, name)
);

CREATE TABLE sync_checkpoints (
    customer_id text NOT NULL,
    resource    text NOT NULL,
    checkpoint  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (customer_id, resource)
);

-- The lane: at most one job writes a customer's mirror. The row stays for ever and its epoch never falls,
-- so that a worker that slept through its lease can never be mistaken for the present holder.
CREATE TABLE customer_leases (
    customer_id text PRIMARY KEY,
    epoch       bigint NOT NULL,
    holder      text NOT NULL,
    expires_at  timestamptz NOT NULL,
    wanted      boolean NOT NULL DEFAULT false
);

-- One row a customer: the next moment at which any process may send a request for it.
CREATE TABLE customer_budgets (
    customer_id text PRIMARY KEY,
    next_at     timestamptz NOT NULL,
    throttles   integer NOT NULL DEFAULT 0,               -- answers 429 in a row without a Retry-After
    spent       jsonb NOT NULL DEFAULT '{}'               -- requests granted, by job
);

-- What arrived as an onboarding or offboarding message, and what became of it. Identity is the stream's
-- creation time with the sequence: sequences start again in a new stream.
CREATE TABLE onboarding_requests (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_created  timestamptz NOT NULL,
    stream_seq      bigint NOT NULL,
    customer_id     text NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'applied', 'duplicate', 'superseded', 'rejected')),
    request         jsonb,                                -- without any secret
    sealed_secrets  bytea,                                -- with the customer's data key; null once settled
    errors          jsonb,
    attempts        integer NOT NULL DEFAULT 0,
    delayed_told    boolean NOT NULL DEFAULT false,
    next_attempt_at timestamptz,
    received_at     timestamptz NOT NULL,
    settled_at      timestamptz,
    UNIQUE (stream_created, stream_seq)
);
CREATE INDEX onboarding_requests_due ON onboarding_requests (next_attempt_at) WHERE state = 'pending';
CREATE INDEX onboarding_requests_customer ON onboarding_requests (customer_id, id);

-- +goose Down
DROP TABLE onboarding_requests, customer_budgets, customer_leases, sync_checkpoints, credentials,
    installation_keys, customer_keys, sync_configs;
DROP FUNCTION rollcall_now;
