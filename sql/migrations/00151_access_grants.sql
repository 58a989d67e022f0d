-- +goose Up
-- Who may use the console besides people who sign in: API tokens ('token') and customers' links ('link'). Of a secret only its SHA-256 is here:
-- a secret is 256 random bits, so that no slower hash is needed.
CREATE TABLE access_grants (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('token', 'link')),
    name        text CHECK ((name IS NULL) = (kind = 'link')), -- of a token
    customer_id text CHECK (customer_id IS NOT NULL OR kind = 'token'), -- the only customer that it sees; null: all
    rights      text[] NOT NULL,
    secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz CHECK (expires_at IS NOT NULL OR kind = 'token'), -- null: never
    revoked_at  timestamptz,
    used_at     timestamptz                               -- the last use, to a minute
);
CREATE UNIQUE INDEX access_grants_name ON access_grants (name) WHERE kind = 'token' AND revoked_at IS NULL;
CREATE INDEX access_grants_kind ON access_grants (kind, id);
CREATE INDEX access_grants_customer ON access_grants (customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX access_grants_ended ON access_grants (least(revoked_at, expires_at)); -- of two, the one that is not null

-- +goose Down
DROP TABLE access_grants;
