package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
	"rollcall.dev/pkg/store/internal/direct"
)

// StoredVersions are the versions that the database has of a page's users.
type StoredVersions struct {
	Mappings map[string]Mapping    // what the destination has, by VOMO id
	Letters  map[string]OpenLetter // by record id
	Seen     int64                 // how many of ScanIDs the scan has seen
	Now      time.Time             // the database's clock
}

// VersionsAsked says of which users of a customer versions are read.
type VersionsAsked struct {
	Customer string
	Kind     string // of the letters
	VomoIDs  []string
	// RecordIDs are those of the letters.
	RecordIDs []string
	Scan      int64 // 0: no scan is asked about
	ScanIDs   []string
}

// StoredVersions reads the mappings, the open letters, what a scan has seen, and the time in one round trip, because a page needs
// them all before it is written.
func (s *Store) StoredVersions(ctx context.Context, asked VersionsAsked) (StoredVersions, error) {
	var stored StoredVersions
	batch := &pgx.Batch{}
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.MappingVersions(ctx, on, &db.MappingVersionsParams{CustomerID: asked.Customer, Ids: asked.VomoIDs})
		return err
	}, func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.MappingVersionsRow])
		stored.Mappings = mappingsFrom(found)
		return err
	})
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.LettersOpenFor(ctx, on, &db.LettersOpenForParams{CustomerID: asked.Customer, Kind: asked.Kind, RecordIds: asked.RecordIDs})
		return err
	}, func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.LettersOpenForRow])
		stored.Letters = lettersFrom(found)
		return err
	})
	if asked.Scan == 0 {
		queue(batch, func(on db.DBTX) error {
			_, err := direct.New(on).Now(ctx)
			return err
		}, func(rows pgx.Rows) (err error) {
			stored.Now, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
			return err
		})
	} else {
		queue(batch, func(on db.DBTX) error {
			_, err := s.queries.SeenAmong(ctx, on, &db.SeenAmongParams{ScanID: asked.Scan, Ids: asked.ScanIDs})
			return err
		}, func(rows pgx.Rows) error {
			found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[db.SeenAmongRow])
			stored.Seen, stored.Now = found.Seen, found.Now
			return err
		})
	}
	if err := s.pool.Load().SendBatch(ctx, batch).Close(); err != nil {
		return StoredVersions{}, mapError("send statements", err)
	}
	return stored, nil
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
