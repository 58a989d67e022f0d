package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Version is what tells one state of a record from another: whole seconds of updated_at are too coarse, so a
// keyed hash of the record goes with them.
type Version struct {
	UpdatedAt time.Time
	Hash      []byte
}

// Mapping is a user that stands in the destination.
type Mapping struct {
	VomoID     string
	ExternalID string
	Email      string // lower-cased and trimmed; "" for none
	Version    Version
	Digests    []byte    // of the fields, see package mirror; nil where they are not known
	SyncedAt   time.Time // by the database's clock; only read
	SentAt     time.Time // the latest source_updated_at that the destination got; zero when saved: the version's
	Lower      bool      // when saved: the version also replaces one of a later time
}

// AuditEntry is one line of sync_audit. ErrorCode is "" for what succeeded.
type AuditEntry struct {
	RecordID  string
	Operation string // "backfill", "create", "update", …
	UpdatedAt time.Time
	ErrorCode string
}

// AuditScope is what the lines of one page share.
type AuditScope struct {
	Customer string
	JobID    int64
	TraceID  string
}

// MappedVersions reads which versions of these users stand in the destination, by VOMO id.
func (c Conn) MappedVersions(ctx context.Context, customer string, vomoIDs []string) (map[string]Version, error) {
	rows, err := c.queries.MappingVersions(ctx, c.dbtx, &db.MappingVersionsParams{CustomerID: customer, Ids: vomoIDs})
	if err != nil {
		return nil, wrap("read mapped versions", err)
	}
	return versionsFrom(rows), nil
}

func versionsFrom(rows []*db.MappingVersionsRow) map[string]Version {
	versions := make(map[string]Version, len(rows))
	for _, row := range rows {
		versions[row.VomoUserID] = Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash}
	}
	return versions
}

func mappingsFrom(rows []*db.MappingVersionsRow) map[string]Mapping {
	mappings := make(map[string]Mapping, len(rows))
	for _, row := range rows {
		mapping := Mapping{
			VomoID: row.VomoUserID, ExternalID: row.ExternalUserID, Digests: row.FieldDigests, SyncedAt: row.LastSyncedAt, SentAt: row.SentUpdatedAt,
			Version: Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash},
		}
		if row.LastKnownEmail != nil {
			mapping.Email = *row.LastKnownEmail
		}
		mappings[row.VomoUserID] = mapping
	}
	return mappings
}

// SaveMappings writes a page's mappings in one statement; an older version never replaces a newer one unless the mapping
// says that it does. In a lane
// its failure may come with a later statement, or with the commit.
func (t *Tx) SaveMappings(ctx context.Context, customer string, mappings []Mapping) error {
	return t.saveMappings(ctx, customer, mappings, false)
}

// SaveMappingsAnew is SaveMappings for records that were written to another system than before: the ids that the
// one before gave are forgotten.
func (t *Tx) SaveMappingsAnew(ctx context.Context, customer string, mappings []Mapping) error {
	return t.saveMappings(ctx, customer, mappings, true)
}

func (t *Tx) saveMappings(ctx context.Context, customer string, mappings []Mapping, anew bool) error {
	if len(mappings) == 0 {
		return nil
	}
	params := &db.MappingUpsertNewerParams{CustomerID: customer, Anew: anew}
	lower := &db.MappingLowerParams{CustomerID: customer}
	for _, mapping := range mappings {
		if mapping.Lower {
			lower.Ids, lower.UpdatedAts = append(lower.Ids, mapping.VomoID), append(lower.UpdatedAts, mapping.Version.UpdatedAt)
		}
		sentAt := mapping.SentAt
		if sentAt.IsZero() {
			sentAt = mapping.Version.UpdatedAt
		}
		params.SentAts = append(params.SentAts, sentAt)
		params.Ids = append(params.Ids, mapping.VomoID)
		params.ExternalIds = append(params.ExternalIds, mapping.ExternalID)
		params.Emails = append(params.Emails, mapping.Email)
		params.UpdatedAts = append(params.UpdatedAts, mapping.Version.UpdatedAt)
		params.Hashes = append(params.Hashes, mapping.Version.Hash)
		params.Digests = append(params.Digests, mapping.Digests)
	}
	if len(lower.Ids) > 0 {
		if err := t.later("lower mappings", func(on db.DBTX) error { return t.queries.MappingLower(ctx, on, lower) }); err != nil {
			return err
		}
	}
	return t.later("save mappings", func(on db.DBTX) error {
		_, err := t.queries.MappingUpsertNewer(ctx, on, params)
		return err
	})
}

// SaveAudit writes a page's audit lines in one statement; its failure comes as that of SaveMappings.
func (t *Tx) SaveAudit(ctx context.Context, scope AuditScope, entries []AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	params := &db.AuditInsertManyParams{CustomerID: scope.Customer, JobID: scope.JobID, TraceID: scope.TraceID}
	for _, entry := range entries {
		params.Ids = append(params.Ids, entry.RecordID)
		params.ErrorCodes = append(params.ErrorCodes, entry.ErrorCode)
		params.UpdatedAts = append(params.UpdatedAts, entry.UpdatedAt)
		params.Operations = append(params.Operations, entry.Operation)
	}
	return t.later("save audit", func(on db.DBTX) error { return t.queries.AuditInsertMany(ctx, on, params) })
}

// CountMappings is how many of the customer's users stand in the destination.
func (c Conn) CountMappings(ctx context.Context, customer string) (int64, error) {
	count, err := c.queries.MappingCount(ctx, c.dbtx, customer)
	return count, wrap("count mappings", err)
}
