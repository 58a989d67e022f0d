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
	Now      time.Time             // the database's clock
}

// StoredVersions reads the mappings, the open letters and the time in one round trip, because every page of every job
// needs all three.
func (s *Store) StoredVersions(ctx context.Context, customer, kind string, vomoIDs, recordIDs []string) (StoredVersions, error) {
	var stored StoredVersions
	batch := &pgx.Batch{}
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.MappingVersions(ctx, on, &db.MappingVersionsParams{CustomerID: customer, Ids: vomoIDs})
		return err
	}, func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.MappingVersionsRow])
		stored.Mappings = mappingsFrom(found)
		return err
	})
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.LettersOpenFor(ctx, on, &db.LettersOpenForParams{CustomerID: customer, Kind: kind, RecordIds: recordIDs})
		return err
	}, func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.LettersOpenForRow])
		stored.Letters = lettersFrom(found)
		return err
	})
	queue(batch, func(on db.DBTX) error {
		_, err := direct.New(on).Now(ctx)
		return err
	}, func(rows pgx.Rows) (err error) {
		stored.Now, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
		return err
	})
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
