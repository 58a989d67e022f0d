-- +goose Up
-- Attempts in a row, since the last transaction that was sent, that sent nothing: the delay before the next one grows with them.
ALTER TABLE virtuous_donation_queue ADD COLUMN unsent_attempts integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE virtuous_donation_queue DROP COLUMN unsent_attempts;
