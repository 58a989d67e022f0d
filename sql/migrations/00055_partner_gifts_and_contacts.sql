-- +goose Up
-- Gifts as Virtuous has them. A version is (modified_at, content_hash). A gift of which only the deletion is known has no other values.
CREATE TABLE partner_gifts (
    customer_id          text NOT NULL,
    virtuous_gift_id     bigint NOT NULL,
    state                text NOT NULL CHECK (state IN ('live', 'reversed', 'deleted')),
    sync_state           text NOT NULL DEFAULT 'in_sync' CHECK (sync_state IN ('in_sync', 'partner_pending', 'virtuous_pending', 'conflict')),
    amount               numeric,
    currency_code        text,
    gift_date            date,
    gift_type            text,
    contact_id           bigint,                          -- after merges
    transaction_source   text,
    transaction_id       text,
    platform_donation_id text,                            -- of our donation that became the gift
    reversed_gift_id     bigint,                          -- of a reversal, if it is known
    modified_at          timestamptz,                     -- null: Virtuous did not say
    content_hash         bytea,                           -- keyed, of the canonical fields
    read_at              timestamptz,                     -- when this version was read from Virtuous; null: a webhook had it
    sealed               bytea,                           -- the canonical fields, with the customer's data key
    created_at           timestamptz NOT NULL,            -- when the row was added
    deleted_at           timestamptz,
    last_sync_at         timestamptz NOT NULL,            -- when the gift was last seen at Virtuous
    PRIMARY KEY (customer_id, virtuous_gift_id),
    CHECK (state = 'deleted' OR (content_hash IS NOT NULL AND sealed IS NOT NULL)),
    CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))
) WITH (fillfactor = 90);
CREATE INDEX partner_gifts_transaction ON partner_gifts (customer_id, transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX partner_gifts_contact ON partner_gifts (customer_id, contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX partner_gifts_conflict ON partner_gifts (customer_id, virtuous_gift_id) WHERE sync_state <> 'in_sync';

-- Contacts as Virtuous has them. Names and addresses are in the sealed value.
CREATE TABLE partner_contacts (
    customer_id         text NOT NULL,
    virtuous_contact_id bigint NOT NULL,
    state               text NOT NULL CHECK (state IN ('live', 'archived', 'merged')),
    sync_state          text NOT NULL DEFAULT 'in_sync' CHECK (sync_state IN ('in_sync', 'partner_pending', 'virtuous_pending', 'conflict')),
    contact_type        text,
    merged_into         bigint,                           -- the contact at the end of the chain
    modified_at         timestamptz,
    content_hash        bytea NOT NULL,                   -- keyed, of the canonical fields
    read_at             timestamptz,                      -- as in partner_gifts
    sealed              bytea NOT NULL,                   -- the canonical fields, with the customer's data key
    created_at          timestamptz NOT NULL,
    last_sync_at        timestamptz NOT NULL,
    PRIMARY KEY (customer_id, virtuous_contact_id),
    CHECK ((state = 'merged') = (merged_into IS NOT NULL))
) WITH (fillfactor = 90);
CREATE INDEX partner_contacts_merged ON partner_contacts (customer_id, merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX partner_contacts_conflict ON partner_contacts (customer_id, virtuous_contact_id) WHERE sync_state <> 'in_sync';

-- Which contact an external reference means. A merge repoints it.
CREATE TABLE partner_references (
    customer_id         text NOT NULL,
    reference_source    text NOT NULL,                    -- in lower case
    reference_id        text NOT NULL,
    virtuous_contact_id bigint NOT NULL,
    noted_at            timestamptz NOT NULL,
    PRIMARY KEY (customer_id, reference_source, reference_id)
);
CREATE INDEX partner_references_contact ON partner_references (customer_id, virtuous_contact_id);

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE partner_gifts ALTER COLUMN customer_id SET STATISTICS 0;
ALTER TABLE partner_contacts ALTER COLUMN customer_id SET STATISTICS 0;
ALTER TABLE partner_references ALTER COLUMN customer_id SET STATISTICS 0;

-- +goose Down
DROP TABLE partner_references, partner_contacts, partner_gifts;
