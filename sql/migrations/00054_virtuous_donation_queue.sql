-- +goose Up
-- Donations on their way into Virtuous, and what became of them. A donation is sent at least once; (transaction_source,
-- platform_donation_id) is the same each time, and Virtuous keeps one transaction of them. What names or describes a donor is sealed
-- with the customer's data key.
CREATE TABLE virtuous_donation_queue (
    id                   bigint GENERATED ALWAYS AS IDENTITY,
    customer_id          text NOT NULL,
    platform_donation_id text NOT NULL CHECK (platform_donation_id <> ''),
    status               text NOT NULL CHECK (status IN ('pending', 'submitted', 'needs_review', 'confirmed', 'failed', 'closed')),
    transaction_source   text NOT NULL CHECK (transaction_source <> ''), -- as it was at capture
    donation_sealed      bytea NOT NULL,                  -- the donation in its canonical form
    body_sealed          bytea NOT NULL,                  -- the transaction as it is sent, each time the same bytes
    content_hash         bytea NOT NULL,                  -- keyed, of the canonical form
    projects_checked     boolean NOT NULL DEFAULT true,   -- false: no list of projects was known at capture
    attempts             integer NOT NULL DEFAULT 0,      -- POSTs since the donation became pending
    next_attempt_at      timestamptz,                     -- pending: when it is due
    attempt_started_at   timestamptz,                     -- of an attempt without a recorded answer; null: there is none
    attempt_epoch        bigint,                          -- the lane's, of that attempt: while it is held, the attempt is under way
    unanswered_since     timestamptz,                     -- start of the first attempt that may have been accepted
    submitted_at         timestamptz,                     -- unanswered_since, when the donation became submitted
    repeated             boolean NOT NULL DEFAULT false,  -- Virtuous said that it has the transaction already
    looked_up_at         timestamptz,                     -- the last lookup that found no gift
    next_lookup_at       timestamptz,                     -- needs_review: when the gift is looked for again
    confirmed_at         timestamptz,
    virtuous_gift_id     bigint,
    virtuous_contact_id  bigint,                          -- the gift's, after merges
    recovery_path        text CHECK (recovery_path IN ('reconciliation_lookup', 'reconciliation_query', 'submission_lookup', 'operator_lookup')),
                                                          -- null: a webhook confirmed it
    review_reason        text CHECK (review_reason IN ('import_not_run', 'match_needed')),
    last_error           text,                            -- field names and codes
    close_reason         text,                            -- the operator's
    trace_id             text,
    created_at           timestamptz NOT NULL,
    status_at            timestamptz NOT NULL,            -- when the status last changed
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (customer_id, id),
    UNIQUE (customer_id, platform_donation_id),
    CHECK (status <> 'pending' OR next_attempt_at IS NOT NULL),
    CHECK (status NOT IN ('submitted', 'needs_review') OR submitted_at IS NOT NULL),
    CHECK (status <> 'needs_review' OR (next_lookup_at IS NOT NULL AND review_reason IS NOT NULL)),
    CHECK (status <> 'confirmed' OR (confirmed_at IS NOT NULL AND virtuous_gift_id IS NOT NULL)),
    CHECK ((attempt_started_at IS NULL) = (attempt_epoch IS NULL)),
    CHECK (attempt_started_at IS NULL OR unanswered_since IS NOT NULL)
) WITH (fillfactor = 90);
-- Customers with due donations are found by steps through the first column. The oldest that waits is found without a look at the rows.
CREATE INDEX virtuous_donation_queue_pending ON virtuous_donation_queue (customer_id, next_attempt_at, id) INCLUDE (created_at)
    WHERE status = 'pending';
CREATE INDEX virtuous_donation_queue_submitted ON virtuous_donation_queue (customer_id, submitted_at, id) WHERE status = 'submitted';
CREATE INDEX virtuous_donation_queue_review ON virtuous_donation_queue (customer_id, next_lookup_at, id) WHERE status = 'needs_review';
CREATE INDEX virtuous_donation_queue_failed ON virtuous_donation_queue (customer_id, status_at, id) WHERE status = 'failed';
-- For latency and recovered shares, without a look at the rows.
CREATE INDEX virtuous_donation_queue_confirmed ON virtuous_donation_queue (customer_id, confirmed_at) INCLUDE (submitted_at, recovery_path)
    WHERE status = 'confirmed';
-- Whether any donation of a day was confirmed.
CREATE INDEX virtuous_donation_queue_confirmed_day ON virtuous_donation_queue (customer_id, submitted_at) WHERE status = 'confirmed';
CREATE INDEX virtuous_donation_queue_gift ON virtuous_donation_queue (customer_id, virtuous_gift_id) WHERE virtuous_gift_id IS NOT NULL;
CREATE INDEX virtuous_donation_queue_contact ON virtuous_donation_queue (customer_id, virtuous_contact_id) WHERE virtuous_contact_id IS NOT NULL;

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE virtuous_donation_queue ALTER COLUMN customer_id SET STATISTICS 0;

-- +goose Down
DROP TABLE virtuous_donation_queue;
