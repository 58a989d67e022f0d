-- +goose Up
-- The gifts that a search for deleted gifts missed, and what became of them. The search is a row of deletion_runs whose entity is 'gift'. There
-- are ids only: a version that does not know this table would take a gift in deletion_candidates for a user with the same id.
CREATE TABLE deletion_gifts (
    run_id           bigint NOT NULL,
    virtuous_gift_id bigint NOT NULL,
    customer_id      text NOT NULL,
    state            text NOT NULL CHECK (state IN ('missing', 'found', 'unknown', 'deleted', 'undo', 'restored')),
    code             text,                                -- why it is in this state, or what Virtuous answered last
    noted_at         timestamptz NOT NULL,
    asked_at         timestamptz,                         -- when Virtuous was last asked for it
    deleted_at       timestamptz,                         -- when this run marked it
    PRIMARY KEY (run_id, virtuous_gift_id)
);
CREATE INDEX deletion_gifts_state ON deletion_gifts (run_id, state, virtuous_gift_id);
CREATE INDEX deletion_gifts_record ON deletion_gifts (customer_id, virtuous_gift_id, run_id);
CREATE INDEX deletion_gifts_undo ON deletion_gifts (customer_id, run_id, virtuous_gift_id) WHERE state = 'undo';
CREATE INDEX deletion_gifts_age ON deletion_gifts (noted_at);

-- As in deletion_candidates.
ALTER TABLE deletion_gifts ALTER COLUMN customer_id SET STATISTICS 0, ALTER COLUMN run_id SET STATISTICS 0;

-- +goose Down
DROP TABLE deletion_gifts;
