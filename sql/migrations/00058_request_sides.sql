-- +goose Up
-- Which sides of the customer a request is about: its mirror of VOMO, its giving, or both. Requests of different sides do not replace one
-- another. A service of the version before knows the mirror alone.
ALTER TABLE onboarding_requests ADD COLUMN mirror boolean NOT NULL DEFAULT true, ADD COLUMN giving boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE onboarding_requests DROP COLUMN giving, DROP COLUMN mirror;
