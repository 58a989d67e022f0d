-- +goose Up
-- Browsers that are signed in to the console. The key is a hash of the cookie. The data names an API token or a link by its id, or a person.
CREATE TABLE console_sessions (
    token_hash text PRIMARY KEY,
    data       bytea NOT NULL,
    seen_at    timestamptz NOT NULL,                      -- the last request, to a minute
    expires_at timestamptz NOT NULL                       -- at the latest, however often it is used
);
CREATE INDEX console_sessions_seen ON console_sessions (seen_at);

-- +goose Down
DROP TABLE console_sessions;
