-- +goose Up
-- Mappings of customers that have been paused or switched off for long, in parts: compressed JSON, sealed with the customer's
-- data key. A part comes back when the customer's lane is opened again.
CREATE TABLE mapping_archives (
    customer_id text NOT NULL,
    part        bigint GENERATED ALWAYS AS IDENTITY,
    users       integer NOT NULL,
    sealed      bytea NOT NULL,
    archived_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, part)
);

-- +goose Down
DROP TABLE mapping_archives;
