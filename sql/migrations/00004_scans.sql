-- +goose Up
-- Which ids a scan has read, since page numbers over a changing set skip and repeat people. A scan is named by
-- its line in the job log; its rows are deleted, a few thousand at a time, once that line is closed.
CREATE TABLE scan_seen (
    scan_id      bigint NOT NULL,
    vomo_user_id text NOT NULL,
    created_at   timestamptz,                             -- by VOMO; null where it gave none
    pass         integer NOT NULL,                        -- the reading in which the id was met last
    PRIMARY KEY (scan_id, vomo_user_id)
);
CREATE INDEX scan_seen_created ON scan_seen (scan_id, created_at);

-- Where the complete reading of the set stands, beside the page number.
ALTER TABLE backfill_runs
    ADD COLUMN phase          text NOT NULL DEFAULT 'pages' CHECK (phase IN ('pages', 'windows')),
    ADD COLUMN furthest_page  integer NOT NULL DEFAULT 0,  -- the highest page committed
    ADD COLUMN steps_back     integer NOT NULL DEFAULT 0,  -- how often the total fell
    ADD COLUMN reread_pages   integer NOT NULL DEFAULT 0,  -- what stepping back has cost
    ADD COLUMN stale_pages    integer NOT NULL DEFAULT 0,  -- pages in a row that brought nobody new
    ADD COLUMN doubt          boolean NOT NULL DEFAULT false, -- a fall of the total was not followed up
    ADD COLUMN window_from    timestamptz,                 -- created_at; null: from the beginning
    ADD COLUMN window_to      timestamptz,                 -- exclusive; null: to the end
    ADD COLUMN window_unit    text NOT NULL DEFAULT 'second' CHECK (window_unit IN ('second', 'day', 'none')),
    ADD COLUMN window_reading boolean NOT NULL DEFAULT false, -- false: counted; true: read, page by page
    ADD COLUMN window_total   bigint,                      -- meta.total on the pages of this reading
    ADD COLUMN window_tries   integer NOT NULL DEFAULT 0,
    ADD COLUMN unsettled      integer NOT NULL DEFAULT 0,  -- windows given up without agreement
    ADD COLUMN pass           integer NOT NULL DEFAULT 0,
    ADD COLUMN recovered      bigint NOT NULL DEFAULT 0,   -- users that the first reading had missed
    ADD COLUMN verified       boolean;                     -- completed runs: every window agreed

-- No statistics of whose rows these are. The planner's statistics know the customers of some minutes ago; one who is new
-- since, it takes for a single row, and then reads all rows of that customer to find fifteen of them, page after page.
-- Without statistics it goes by the size of the table, and looks each row up through the key.
ALTER TABLE user_mappings ALTER COLUMN customer_id SET STATISTICS 0;
ALTER TABLE dead_letters ALTER COLUMN customer_id SET STATISTICS 0;
ALTER TABLE scan_seen ALTER COLUMN scan_id SET STATISTICS 0;

-- Ends the transaction from inside a statement whose row is gone. The statement can be sent together with the commit
-- in this way, which then does not happen: nobody has to come back and count rows in between.
-- +goose StatementBegin
CREATE FUNCTION lane_lost() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the lane was lost' USING ERRCODE = 'RC001';
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION lane_lost;
ALTER TABLE dead_letters ALTER COLUMN customer_id SET STATISTICS -1;
ALTER TABLE user_mappings ALTER COLUMN customer_id SET STATISTICS -1;
ALTER TABLE backfill_runs
    DROP COLUMN phase, DROP COLUMN furthest_page, DROP COLUMN steps_back, DROP COLUMN reread_pages, DROP COLUMN stale_pages, DROP COLUMN doubt,
    DROP COLUMN window_from, DROP COLUMN window_to, DROP COLUMN window_unit, DROP COLUMN window_reading,
    DROP COLUMN window_total, DROP COLUMN window_tries, DROP COLUMN unsettled, DROP COLUMN pass,
    DROP COLUMN recovered, DROP COLUMN verified;
DROP TABLE scan_seen;
