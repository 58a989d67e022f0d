-- +goose Up
-- When a customer's backfill may read from VOMO.
ALTER TABLE sync_configs
    ADD COLUMN backfill_not_before timestamptz,
    ADD COLUMN quiet_hours jsonb;                         -- {"from":"08:00","to":"18:00","zone":"America/Chicago"}

-- Which of the keeper's keys seals what is new. One row; null until a first rotation: SECRETS_URL's. Whoever adds a
-- key holds this row, so that none is sealed by the old one after a rotation has looked for the last time.
CREATE TABLE sealing_key (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    key_id     text,
    changed_at timestamptz
);
INSERT INTO sealing_key DEFAULT VALUES;

-- +goose Down
DROP TABLE sealing_key;
ALTER TABLE sync_configs DROP COLUMN quiet_hours, DROP COLUMN backfill_not_before;
