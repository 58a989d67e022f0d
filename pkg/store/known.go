package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// Known is what is known of a page's users.
type Known struct {
	Mapped  map[string]Mapping    // what stands in the destination, by VOMO id
	Letters map[string]OpenLetter // by record id
	Now     time.Time             // by the database's clock
}

// Known reads the mappings, OpenLetters and the time in one round trip; every page of every job needs both.
func (s *Store) Known(ctx context.Context, customer, kind string, vomoIDs, recordIDs []string) (Known, error) {
	var known Known
	batch := &pgx.Batch{}
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.MappingVersions(ctx, on, &db.MappingVersionsParams{CustomerID: customer, Ids: vomoIDs})
		return err
	}).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.MappingVersionsRow])
		known.Mapped = mappingsFrom(found)
		return wrap("read mappings", err)
	})
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.LettersOpenFor(ctx, on, &db.LettersOpenForParams{CustomerID: customer, Kind: kind, RecordIds: recordIDs})
		return err
	}).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[db.LettersOpenForRow])
		known.Letters = lettersFrom(found)
		return wrap("read open letters", err)
	})
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.Now(ctx, on)
		return err
	}).QueryRow(func(row pgx.Row) error { return wrap("read the time", row.Scan(&known.Now)) })
	if err := s.pool.Load().SendBatch(ctx, batch).Close(); err != nil {
		return Known{}, err
	}
	return known, nil
}
