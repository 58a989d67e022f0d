-- +goose Up
-- The alerts of the last minutes, by which a flood of one type is known, and those that wait for their summary. A row whose
-- summary was sent is kept for as long as notifications are, so that a repetition of its message sends nothing.
CREATE TABLE alert_arrivals (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  text NOT NULL UNIQUE,                     -- the alert's Nats-Msg-Id
    type        text NOT NULL,
    cleared     boolean NOT NULL,
    customer_id text NOT NULL,
    payload     text NOT NULL,                            -- the alert, as it travels
    arrived_at  timestamptz NOT NULL,
    gathered    boolean NOT NULL,                         -- false: it was sent by itself
    summary_id  text,                                     -- of the summary that names it
    claimed_at  timestamptz,                              -- when a notifier last began to send that summary
    summed_at   timestamptz                               -- when all channels had it
);
CREATE INDEX alert_arrivals_recent ON alert_arrivals (type, cleared, arrived_at);
CREATE INDEX alert_arrivals_age ON alert_arrivals (arrived_at);
CREATE INDEX alert_arrivals_open ON alert_arrivals (type, cleared, id) WHERE gathered AND summed_at IS NULL;
CREATE INDEX alert_arrivals_summary ON alert_arrivals (summary_id) WHERE summary_id IS NOT NULL;

-- +goose Down
DROP TABLE alert_arrivals;
