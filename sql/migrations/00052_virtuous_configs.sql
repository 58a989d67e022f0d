-- +goose Up
-- One row for each customer that has, or had, Virtuous CRM+. The settings are those of the onboarding request. Whether the customer is
-- paused or offboarded is in sync_configs. A customer whose giving was removed keeps its row: it says which organization the data is of.
CREATE TABLE virtuous_configs (
    customer_id              text PRIMARY KEY,
    enabled                  boolean NOT NULL,            -- false: the key was rejected, or giving was removed
    disabled_reason          text CHECK (disabled_reason IN ('auth_failed', 'removed')),
    onboarded_at             timestamptz NOT NULL,        -- the first pass of missed_webhook begins there
    removed_at               timestamptz,
    transaction_source       text,                        -- null: the setting VIRTUOUS_TRANSACTION_SOURCE
    designations_field       text NOT NULL CHECK (designations_field IN ('designations', 'giftDesignations')),
    defaults                 jsonb NOT NULL,              -- fields that are merged into every transaction
    needs_review_after_hours integer NOT NULL CHECK (needs_review_after_hours > 0),
    stuck_after_hours        integer NOT NULL CHECK (stuck_after_hours > 0),
    imports_url              text,
    gifts_since              date,                        -- null: onboarded_at
    create_webhook           boolean NOT NULL DEFAULT false,
    organization_id          text NOT NULL,               -- as GET /api/Organization/Current has it
    organization_name        text NOT NULL,
    time_zone                text NOT NULL,               -- as Virtuous names it
    culture                  text NOT NULL,
    last_webhook_at          timestamptz,                 -- the last delivery that was accepted
    last_reconciled_at       timestamptz,                 -- when all scheduled categories were last completed
    -- Not null, and in the past for a customer who never had one: the order of the indexes is that of the customers that are due.
    next_reconcile_at        timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
    next_report_at           timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
    updated_at               timestamptz NOT NULL,
    CHECK (enabled = (disabled_reason IS NULL))
) WITH (fillfactor = 90);
CREATE INDEX virtuous_configs_reconcile_due ON virtuous_configs (next_reconcile_at) WHERE enabled;
CREATE INDEX virtuous_configs_report_due ON virtuous_configs (next_report_at) WHERE enabled;

-- What Virtuous says of a customer's key, as customer_tokens for VOMO.
CREATE TABLE virtuous_keys (
    customer_id text PRIMARY KEY,
    worked_at   timestamptz,                              -- to the hour
    refused_at  timestamptz,                              -- the last rejection; null while it works
    try_at      timestamptz                               -- a rejected key that had worked is tried again then
);
CREATE INDEX virtuous_keys_refused ON virtuous_keys (refused_at) WHERE refused_at IS NOT NULL;
CREATE INDEX virtuous_keys_try ON virtuous_keys (try_at) WHERE try_at IS NOT NULL;

-- Whether Virtuous rejects the keys of many customers at once, which is its own fault: one row for the installation.
CREATE TABLE virtuous_refusals (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    began_at  timestamptz,                                -- null: it never did
    worked_at timestamptz,                                -- a rejected key worked again since
    over_at   timestamptz
);
INSERT INTO virtuous_refusals DEFAULT VALUES;

-- Lists that Virtuous gives, kept for a time: 'projects', 'gift_query_options', 'contact_query_options'.
CREATE TABLE virtuous_catalogs (
    customer_id text NOT NULL,
    name        text NOT NULL,
    value       jsonb NOT NULL,
    loaded_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, name)
);

-- Why and until when a customer's giving is left alone, as writeback_holds.
CREATE TABLE giving_holds (
    customer_id text PRIMARY KEY,
    reason      text NOT NULL,                            -- 'virtuous_forbidden', 'virtuous_unavailable', …
    detail      text,
    holds       integer NOT NULL,                         -- in a row
    since       timestamptz NOT NULL,
    noted_at    timestamptz NOT NULL,
    until       timestamptz NOT NULL
);

-- +goose Down
DROP TABLE giving_holds, virtuous_catalogs, virtuous_refusals, virtuous_keys, virtuous_configs;
