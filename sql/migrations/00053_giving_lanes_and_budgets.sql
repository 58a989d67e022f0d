-- +goose Up
-- A customer's lane for giving, beside that of its mirror: donations, contacts and reconciliations with Virtuous take turns in it. The
-- columns are those of customer_leases, whose primary key leaves no room for a second lane in this release.
CREATE TABLE giving_leases (
    customer_id  text PRIMARY KEY,
    epoch        bigint NOT NULL,
    holder       text NOT NULL,
    expires_at   timestamptz NOT NULL,
    wanted       boolean NOT NULL DEFAULT false,
    fenced_epoch bigint
);

-- A customer's budget of requests to Virtuous. The first columns are those of customer_budgets. The others are what Virtuous last said of
-- its own limit, which other integrations of the customer spend, too.
CREATE TABLE virtuous_budgets (
    customer_id text PRIMARY KEY,
    next_at     timestamptz NOT NULL,                     -- up to a burst in the past
    taken_at    timestamptz,                              -- when the last request was granted; null: none was
    throttles   integer NOT NULL DEFAULT 0,               -- answers 429 in a row without a Retry-After
    spent       jsonb NOT NULL DEFAULT '{}',              -- requests granted, by job
    spent_day   date,
    spent_today jsonb NOT NULL DEFAULT '{}',
    hour_limit  integer,                                  -- X-RateLimit-Limit; null: not seen yet
    remaining   integer,                                  -- X-RateLimit-Remaining
    reset_at    timestamptz,                              -- X-RateLimit-Reset
    seen_at     timestamptz                               -- when these headers came
);

-- +goose Down
DROP TABLE virtuous_budgets, giving_leases;
