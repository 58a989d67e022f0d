-- +goose Up
-- Whether an endpoint names events about records (user.created, …): the notifier reads those only while one does.
ALTER TABLE endpoints ADD COLUMN names_records boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE endpoints DROP COLUMN names_records;
