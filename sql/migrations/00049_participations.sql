-- +goose Up
-- What VOMO shows of a user's participations, for customers whose config asks for it. The entries and the profile fields are one
-- value that is sealed with the customer's data key: no statement looks into it, and destroying the key deletes it.
CREATE TABLE participations (
    customer_id    text NOT NULL,
    vomo_user_id   text NOT NULL,
    digest         bytea NOT NULL,                        -- keyed, of the entries and the profile fields
    summary_digest bytea NOT NULL,                        -- keyed, of the fields that a destination gets
    sent_digest    bytea,                                 -- of the fields that the destination has; null: it has none
    sealed         bytea NOT NULL,
    refreshed_at   timestamptz NOT NULL,                  -- when VOMO was last asked
    PRIMARY KEY (customer_id, vomo_user_id)
) WITH (fillfactor = 90);

-- As in user_mappings: statistics of whose rows these are would be those of some minutes ago.
ALTER TABLE participations ALTER COLUMN customer_id SET STATISTICS 0;

-- A cycle reads all of a customer's users. next_participations_at is not null, and in the past for a customer who never had one.
ALTER TABLE sync_configs
    ADD COLUMN participations boolean NOT NULL DEFAULT false,
    ADD COLUMN next_participations_at timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z',
    ADD COLUMN participations_cycle_seconds double precision; -- how long the last complete cycle took

-- +goose Down
ALTER TABLE sync_configs DROP COLUMN participations_cycle_seconds, DROP COLUMN next_participations_at, DROP COLUMN participations;
DROP TABLE participations;
