-- +goose Up
-- A tenth of each page that is filled from now on stays free, so that a changed mapping stays on its page and needs no new
-- entries in the three indexes. The lock keeps out neither reads nor writes.
-- +goose StatementBegin
DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('ALTER TABLE user_mappings_p%s SET (fillfactor = 90)', lpad(i::text, 2, '0'));
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('ALTER TABLE user_mappings_p%s RESET (fillfactor)', lpad(i::text, 2, '0'));
    END LOOP;
END $$;
-- +goose StatementEnd
