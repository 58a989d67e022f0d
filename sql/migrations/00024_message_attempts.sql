-- +goose Up
-- The attempts at messages that have not ended, or that ended with their process. origin names the message, as in
-- dead_letters.
CREATE TABLE message_attempts (
    origin   text NOT NULL,
    attempt  uuid NOT NULL,
    noted_at timestamptz NOT NULL,
    PRIMARY KEY (origin, attempt)
);
CREATE INDEX message_attempts_noted ON message_attempts (noted_at);

-- +goose Down
DROP TABLE message_attempts;
