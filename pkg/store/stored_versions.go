package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// StoredVersions are the versions that the database has of a page's users.
type StoredVersions struct {
	Mappings map[string]Mapping    // what the destination has, by VOMO id
	Letters  map[string]OpenLetter // by record id
	Seen     map[string]bool       // the users that the scan has seen
	Now      time.Time             // the database's clock
}

// VersionsAsked says of which users of a customer versions are read.
type VersionsAsked struct {
	Customer string
	IDs      []string
	Scan     int64  // 0: no scan is asked about
	Letters  string // the kind of letters that are read; "": none
}

// StoredVersions reads the mappings, the open letters, what a scan has seen, and the time in one round trip, because a page needs
// them all before it is written.
func (s *Store) StoredVersions(ctx context.Context, asked VersionsAsked) (StoredVersions, error) {
	var stored StoredVersions
	batch := &pgx.Batch{}
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.PageStored(ctx, on, &db.PageStoredParams{CustomerID: asked.Customer, Ids: asked.IDs, ScanID: asked.Scan})
		return err
	}, stored.read)
	if asked.Letters != "" {
		queue(batch, func(on db.DBTX) error {
			_, err := s.queries.LettersOpenFor(ctx, on, &db.LettersOpenForParams{CustomerID: asked.Customer, Kind: asked.Letters, RecordIds: asked.IDs})
			return err
		}, func(rows pgx.Rows) error {
			found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.LettersOpenForRow])
			stored.Letters = lettersFrom(found)
			return err
		})
	}
	if err := s.pool.Load().SendBatch(ctx, batch).Close(); err != nil {
		return StoredVersions{}, mapError("send statements", err)
	}
	return stored, nil
}

func (v *StoredVersions) read(rows pgx.Rows) error {
	found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.PageStoredRow])
	v.Mappings, v.Seen = make(map[string]Mapping, len(found)), map[string]bool{}
	for _, row := range found {
		v.Now = row.Now
		if row.Seen {
			v.Seen[row.VomoUserID] = true
		}
		if row.Mapped {
			v.Mappings[row.VomoUserID] = Mapping{
				VomoID: row.VomoUserID, ExternalID: row.ExternalUserID, Email: row.Email, Digests: row.FieldDigests, SyncedAt: row.LastSyncedAt,
				SentAt: row.SentUpdatedAt, Version: Version{UpdatedAt: row.LastSyncedUpdatedAt, Hash: row.VersionHash},
			}
		}
	}
	return err
}

// queue puts a statement that sqlc wrote into a batch; read reads its rows.
func queue(batch *pgx.Batch, statement func(on db.DBTX) error, read func(rows pgx.Rows) error) {
	captured := capture(statement)
	batch.Queue(captured.sql, captured.arguments...).Query(func(rows pgx.Rows) error {
		if err := read(rows); err != nil {
			return mapError(operationOf(captured.sql), err)
		}
		return nil
	})
}
