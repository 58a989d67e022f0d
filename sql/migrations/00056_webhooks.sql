-- +goose Up
-- Parts of deliveries, each with some records of one event, in the form in which they were signed. They stay after their application, so
-- that they can be applied again. The digest recognises a part that comes a second time.
CREATE TABLE webhook_inbox (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    customer_id     text NOT NULL,
    digest          bytea NOT NULL,                       -- HMAC of the part's bytes, with the customer's hash key
    event           text NOT NULL,                        -- 'gift_create', 'contact_update', …
    records         integer NOT NULL CHECK (records > 0),
    sealed          bytea NOT NULL,                       -- the part, with the customer's data key
    state           text NOT NULL CHECK (state IN ('waiting', 'applied', 'letter')),
    applied         integer NOT NULL DEFAULT 0,           -- records that changed something
    skipped         integer NOT NULL DEFAULT 0,           -- records that were known, or older
    failed          integer NOT NULL DEFAULT 0,           -- records that became letters
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,                          -- waiting: when it is due
    trace_id        text,
    received_at     timestamptz NOT NULL,                 -- by the receiver
    applied_at      timestamptz,
    PRIMARY KEY (customer_id, id),
    UNIQUE (customer_id, digest),
    CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX webhook_inbox_waiting ON webhook_inbox (customer_id, next_attempt_at, id) WHERE state = 'waiting';
CREATE INDEX webhook_inbox_received ON webhook_inbox (customer_id, received_at, id);
CREATE INDEX webhook_inbox_age ON webhook_inbox (received_at);

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE webhook_inbox ALTER COLUMN customer_id SET STATISTICS 0;

-- Subscriptions at Virtuous. A row is added before the subscription is requested: Virtuous cannot list subscriptions, so one whose answer
-- was lost stays there without a known id. Secrets are in credentials: virtuous_webhook_secret, and virtuous_webhook_secret_before
-- for a day after a rotation.
CREATE TABLE webhook_subscriptions (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id         text NOT NULL,
    state               text NOT NULL CHECK (state IN ('requested', 'active', 'removing', 'removed', 'orphaned')),
    virtuous_webhook_id bigint,                           -- null: not known
    payload_url         text NOT NULL,
    toggles             text[] NOT NULL,                  -- that are on: 'giftCreate', …
    requested_at        timestamptz NOT NULL,             -- before the request was sent
    created_at          timestamptz,                      -- when Virtuous answered
    verified_at         timestamptz,
    differences         text[],                           -- of the last verification: names of what differs
    remove_until        timestamptz,                      -- removing: it is given up then
    next_attempt_at     timestamptz,                      -- requested and removing: when the next attempt is due
    attempts            integer NOT NULL DEFAULT 0,
    last_error          text,
    ended_at            timestamptz,
    updated_at          timestamptz NOT NULL,
    CHECK (state NOT IN ('active', 'removing') OR virtuous_webhook_id IS NOT NULL),
    CHECK ((state IN ('removed', 'orphaned')) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX webhook_subscriptions_open ON webhook_subscriptions (customer_id) WHERE state IN ('requested', 'active');
CREATE INDEX webhook_subscriptions_customer ON webhook_subscriptions (customer_id, id);
CREATE INDEX webhook_subscriptions_due ON webhook_subscriptions (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

-- +goose Down
DROP TABLE webhook_subscriptions, webhook_inbox;
