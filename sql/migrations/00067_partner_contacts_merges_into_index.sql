-- +goose NO TRANSACTION
-- +goose Up
DROP INDEX CONCURRENTLY IF EXISTS partner_contacts_merges_into;
CREATE INDEX CONCURRENTLY partner_contacts_merges_into ON partner_contacts (customer_id, merges_into) WHERE merges_into IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS partner_contacts_merges_into;
