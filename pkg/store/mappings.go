package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Version identifies one state of a record. updated_at has whole seconds, which is too coarse; so a keyed hash of the record is
// part of the version.
type Version struct {
	UpdatedAt time.Time
	Hash      []byte
}

// Mapping is a user that the destination has.
type Mapping struct {
	VomoID        string
	ExternalID    string
	Email         string // lower-cased and trimmed; "" for none
	Version       Version
	Digests       []byte    // of the fields, see package mirror; nil if they are not known
	SyncedAt      time.Time // by the database's clock; it is read and never saved
	SentAt        time.Time // the latest source_updated_at that the destination got; if it is zero, the version's time is saved
	ReplacesNewer bool      // only for saving: the version also replaces one of a later time
}

// AuditEntry is one line of sync_audit. ErrorCode is "" if the operation succeeded.
type AuditEntry struct {
	RecordID  string
	Operation string // "backfill", "create", "update", …
	UpdatedAt time.Time
	ErrorCode string
}

// AuditScope has what the lines of one page share.
type AuditScope struct {
	Customer string
	JobID    int64
	TraceID  string
}

// MappedVersions returns which versions of these users the destination has, by VOMO id.
func (c Conn) MappedVersions(ctx context.Context, customer string, vomoIDs []string) (map[string]Version, error) {
	rows, err := c.queries.MappingVersions(ctx, c.dbtx, &db.MappingVersionsParams{CustomerID: customer, Ids: vomoIDs})
	versions := make(map[string]Version, len(rows))
	for _, row := range rows {
		versions[row.VomoUserID] = Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash}
	}
	return versions, err
}

// SaveMappings writes a page's mappings in one statement. An older version replaces a newer one only if ReplacesNewer says so. A pipelined
// transaction defers the statement.
func (t *Tx) SaveMappings(ctx context.Context, customer string, mappings []Mapping) error {
	return t.saveMappings(ctx, customer, mappings, false)
}

// SaveMappingsAnew is SaveMappings for records that were written to a new system: the ids that the previous system gave are
// replaced.
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
		if mapping.ReplacesNewer {
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
		if err := t.deferred(func(on db.DBTX) error { return t.queries.MappingLower(ctx, on, lower) }); err != nil {
			return err
		}
	}
	return t.deferred(func(on db.DBTX) error {
		_, err := t.queries.MappingUpsertNewer(ctx, on, params)
		return err
	})
}

// IsBlank says that an offboarding blanked the mapping: its version is known by its time alone, and its address is not known.
func (m Mapping) IsBlank() bool { return m.VomoID != "" && len(m.Version.Hash) == 0 }

// AdoptMappings stores hash, digests and address of blank mappings whose versions the destination has, without noting a write. A pipelined
// transaction defers the statement.
func (t *Tx) AdoptMappings(ctx context.Context, customer string, mappings []Mapping) error {
	if len(mappings) == 0 {
		return nil
	}
	params := &db.MappingAdoptParams{CustomerID: customer}
	for _, mapping := range mappings {
		params.Ids = append(params.Ids, mapping.VomoID)
		params.Hashes = append(params.Hashes, mapping.Version.Hash)
		params.Digests = append(params.Digests, mapping.Digests)
		params.Emails = append(params.Emails, mapping.Email)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.MappingAdopt(ctx, on, params) })
}

// SaveAudit writes a page's audit lines in one statement. A pipelined transaction defers it.
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
	return t.deferred(func(on db.DBTX) error { return t.queries.AuditInsertMany(ctx, on, params) })
}
