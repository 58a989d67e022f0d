-- +goose Up
-- What a destination got as source_updated_at of a user, if that is later than last_synced_updated_at: VOMO's clock was
-- ahead. A destination may refuse an earlier one as stale, so that no write of this user is sent with an earlier one.
ALTER TABLE user_mappings ADD COLUMN sent_updated_at timestamptz;

-- +goose Down
ALTER TABLE user_mappings DROP COLUMN sent_updated_at;
