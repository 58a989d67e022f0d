-- +goose Up
-- One row for each customer that gave a refresh token of Virtuous instead of an API key. The tokens are in credentials: virtuous_token is the
-- access token, virtuous_refresh_token asks for the next pair, and virtuous_refresh_token_given is the one of the onboarding request.
CREATE TABLE virtuous_oauth (
    customer_id       text PRIMARY KEY,
    version           uuid NOT NULL DEFAULT gen_random_uuid(), -- another one with each pair
    access_expires_at timestamptz NOT NULL,
    refresh_at        timestamptz NOT NULL,               -- from then on the next pair is asked for
    refreshed_at      timestamptz NOT NULL,
    leased_until      timestamptz,                        -- until then one process asks, and no other
    failure           text CHECK (failure IN ('refused', 'verification', 'unavailable')), -- of the last refresh; null: there was none
    retry_at          timestamptz,                        -- after a failure: nothing is asked before
    CHECK ((failure IS NULL) = (retry_at IS NULL))
);

-- +goose Down
DROP TABLE virtuous_oauth;
