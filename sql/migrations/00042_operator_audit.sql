-- +goose Up
-- What operators did, by the API, by a message that they published, by an ack, or by a command that reaches the database
-- itself. The row is written before the act begins, so that no act is without one.
CREATE TABLE operator_audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    operator    text,                                     -- as the caller names itself; null: it did not
    nats_user   text,                                     -- as the NATS server names the caller; null: it does not
    via         text NOT NULL CHECK (via IN ('api', 'message', 'ack', 'command')),
    verb        text NOT NULL,                            -- such as letters.retry
    customer_id text,                                     -- null: of none, or of several
    filter      jsonb NOT NULL,                           -- what was asked for, without texts that may be a secret or a person's
    outcome     text NOT NULL CHECK (outcome IN ('begun', 'done', 'rejected', 'failed')),
    code        text,                                     -- why it was rejected or failed
    result      jsonb,                                    -- counts and states of the answer
    origin      text UNIQUE                               -- of a message: a repeated delivery adds no row
);
CREATE INDEX operator_audit_age ON operator_audit (at);
CREATE INDEX operator_audit_customer ON operator_audit (customer_id, id);

-- +goose Down
DROP TABLE operator_audit;
