-- +goose Up
-- Contacts of the platform: their transactions on the way into Virtuous, as virtuous_donation_queue has those of donations, and then the
-- newest version that the platform published. (transaction_source, reference_id) is the same each time, and Virtuous keeps one transaction of
-- them. What names or describes a person is sealed with the customer's data key.
CREATE TABLE virtuous_contact_queue (
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    customer_id         text NOT NULL,
    reference_source    text NOT NULL,                    -- transaction_source in lower case, as in partner_references
    reference_id        text NOT NULL CHECK (reference_id <> ''),
    status              text NOT NULL CHECK (status IN ('pending', 'submitted', 'needs_review', 'confirmed', 'failed', 'closed')),
    transaction_source  text NOT NULL CHECK (transaction_source <> ''), -- as it was at capture
    partner_sealed      bytea NOT NULL,                   -- the newest version of the platform, in its canonical form
    partner_modified_at timestamptz,                      -- when the platform's record changed; null: the platform does not say
    partner_published_at timestamptz NOT NULL,            -- when that version was published
    body_sealed         bytea NOT NULL,                   -- the transaction of that version, each time the same bytes
    content_hash        bytea NOT NULL,                   -- keyed, of the canonical form
    sent_hash           bytea,                            -- content_hash of the version that was sent last; null: none was
    attempts            integer NOT NULL DEFAULT 0,       -- POSTs since the contact became pending
    unsent_attempts     integer NOT NULL DEFAULT 0,       -- in a row, since the last POST, that sent nothing
    next_attempt_at     timestamptz,                      -- pending: when it is due
    attempt_started_at  timestamptz,                      -- of an attempt without a recorded answer; null: there is none
    attempt_epoch       bigint,                           -- the lane's, of that attempt: while it is held, the attempt is under way
    unanswered_since    timestamptz,                      -- start of the first attempt that may have been accepted
    submitted_at        timestamptz,                      -- unanswered_since, when the contact became submitted
    repeated            boolean NOT NULL DEFAULT false,   -- Virtuous said that it has the transaction already
    looked_up_at        timestamptz,                      -- the last lookup that found no contact
    next_lookup_at      timestamptz,                      -- needs_review: when the contact is looked for again
    confirmed_at        timestamptz,
    virtuous_contact_id bigint,                           -- after merges
    recovery_path       text CHECK (recovery_path IN ('reconciliation_lookup', 'reconciliation_query', 'submission_lookup', 'operator_lookup',
                                                      'known_reference')),
                                                          -- null: a webhook confirmed it; known_reference: nothing was sent
    review_reason       text CHECK (review_reason IN ('import_not_run', 'match_needed')),
    compare_wanted_at   timestamptz,                      -- confirmed: since when the version waits for a comparison with Virtuous' contact
    last_error          text,                             -- field names and codes
    attempt_log         jsonb NOT NULL DEFAULT '[]',      -- as that of a donation
    close_reason        text,                             -- the operator's
    trace_id            text,
    created_at          timestamptz NOT NULL,
    status_at           timestamptz NOT NULL,             -- when the status last changed
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (customer_id, id),
    UNIQUE (customer_id, reference_id, reference_source),
    CHECK (status <> 'pending' OR next_attempt_at IS NOT NULL),
    CHECK (status NOT IN ('submitted', 'needs_review') OR submitted_at IS NOT NULL),
    CHECK (status <> 'needs_review' OR (next_lookup_at IS NOT NULL AND review_reason IS NOT NULL)),
    CHECK (status <> 'confirmed' OR (confirmed_at IS NOT NULL AND virtuous_contact_id IS NOT NULL)),
    CHECK (compare_wanted_at IS NULL OR status = 'confirmed'),
    CHECK ((attempt_started_at IS NULL) = (attempt_epoch IS NULL)),
    CHECK (attempt_started_at IS NULL OR unanswered_since IS NOT NULL)
) WITH (fillfactor = 90);
-- As those of virtuous_donation_queue.
CREATE INDEX virtuous_contact_queue_pending ON virtuous_contact_queue (customer_id, next_attempt_at, id) INCLUDE (created_at)
    WHERE status = 'pending';
CREATE INDEX virtuous_contact_queue_submitted ON virtuous_contact_queue (customer_id, submitted_at, id) WHERE status = 'submitted';
CREATE INDEX virtuous_contact_queue_review ON virtuous_contact_queue (customer_id, next_lookup_at, id) WHERE status = 'needs_review';
CREATE INDEX virtuous_contact_queue_failed ON virtuous_contact_queue (customer_id, status_at, id) WHERE status = 'failed';
CREATE INDEX virtuous_contact_queue_state ON virtuous_contact_queue (customer_id, status, id);
-- Whether any contact of a day was confirmed.
CREATE INDEX virtuous_contact_queue_confirmed_day ON virtuous_contact_queue (customer_id, submitted_at) WHERE status = 'confirmed';
CREATE INDEX virtuous_contact_queue_contact ON virtuous_contact_queue (customer_id, virtuous_contact_id) WHERE virtuous_contact_id IS NOT NULL;
CREATE INDEX virtuous_contact_queue_compare ON virtuous_contact_queue (customer_id, compare_wanted_at, id) WHERE compare_wanted_at IS NOT NULL;

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE virtuous_contact_queue ALTER COLUMN customer_id SET STATISTICS 0;

-- +goose Down
DROP TABLE virtuous_contact_queue;
