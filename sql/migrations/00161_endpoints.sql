-- +goose Up
-- Addresses of partners' backends that get events and alerts about customers' lifecycles as webhooks.
CREATE TABLE endpoints (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id          text,                            -- null: it gets what concerns any customer
    topics               text[] NOT NULL,                 -- names of events and types of alerts, or '*'
    host                 text NOT NULL,                   -- of the URL, for lists: the rest may be a secret
    url_sealed           bytea NOT NULL,                  -- with the installation's key, as the secrets
    secret_sealed        bytea NOT NULL,
    secret_before_sealed bytea,                           -- signs too, until then
    secret_before_until  timestamptz,
    disabled_at          timestamptz,
    disabled_reason      text CHECK (disabled_reason IN ('gone', 'operator')),
    due_at               timestamptz,                     -- nothing is to be sent before; null: nothing is to be sent
    not_before           timestamptz,                     -- after a failure, or as Retry-After says
    claim                bigint NOT NULL DEFAULT 0,       -- grows with each claim: who lost it releases nothing
    claimed_until        timestamptz,                     -- until then one process sends, and no other
    failures             integer NOT NULL DEFAULT 0,      -- failed attempts since the last success
    failing_since        timestamptz,
    alerted_at           timestamptz,                     -- since when endpoint_failing is also about this endpoint
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CHECK ((secret_before_sealed IS NULL) = (secret_before_until IS NULL)),
    CHECK (disabled_at IS NULL OR due_at IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX endpoints_due ON endpoints (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX endpoints_of_customer ON endpoints (customer_id);

-- What an endpoint is to get, and what became of it. The id is the webhook-id. The body has ids and counts, and no personal data.
CREATE TABLE endpoint_deliveries (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    endpoint_id     bigint NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    event_id        text NOT NULL,                        -- of the message: a message that comes again adds nothing
    customer_id     text NOT NULL,
    topic           text NOT NULL,
    body            bytea NOT NULL,                       -- the bytes that are signed
    state           text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    retry_until     timestamptz NOT NULL,                 -- the last attempt is made then
    last_attempt_at timestamptz,
    last_status     integer,                              -- of the last answer; null: there was none
    last_error      text,                                 -- a code; null after a success
    answer_sealed   bytea,                                -- the beginning of the last answer, with the customer's data key
    created_at      timestamptz NOT NULL,
    settled_at      timestamptz,
    UNIQUE (endpoint_id, event_id),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'pending') = (settled_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX endpoint_deliveries_due ON endpoint_deliveries (endpoint_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX endpoint_deliveries_listed ON endpoint_deliveries (endpoint_id, created_at, id);
CREATE INDEX endpoint_deliveries_settled ON endpoint_deliveries (settled_at) WHERE settled_at IS NOT NULL;

-- +goose Down
DROP TABLE endpoint_deliveries;
DROP TABLE endpoints;
