package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const saveMappings = `
INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at,
                           last_synced_updated_at, version_hash)
SELECT $1, v.id, v.external_id, nullif(v.email, ''), now(), v.updated_at, v.hash
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[]) AS v (id, external_id, email, updated_at, hash)`

const saveAudit = `
INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, source_updated_at, processed_at)
SELECT $1, 'user', v.id, 'backfill', true, v.updated_at, now()
FROM unnest($2::text[], $3::timestamptz[]) AS v (id, updated_at)`

// commit writes a page's rows in one transaction and one round trip: statements that are sent together without a
// BEGIN form one transaction.
func (m *mirror) commit(ctx context.Context, customer string, rows []row) error {
	var ids, externalIDs, emails []string
	var updated []time.Time
	var hashes [][]byte
	for _, r := range rows {
		ids, externalIDs, emails = append(ids, r.id), append(externalIDs, r.externalID), append(emails, r.email)
		updated, hashes = append(updated, r.updatedAt), append(hashes, r.hash)
	}
	batch := &pgx.Batch{}
	batch.Queue(saveMappings, customer, ids, externalIDs, emails, updated, hashes)
	batch.Queue(saveAudit, customer, ids, updated)
	results := m.pool.SendBatch(ctx, batch)
	_, mappings := results.Exec()
	_, audit := results.Exec()
	if err := errors.Join(mappings, audit, results.Close()); err != nil {
		return fmt.Errorf("commit page: %w", err)
	}
	return nil
}
