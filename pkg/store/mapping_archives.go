package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// ArchivableCustomers returns up to atMost customers that have been paused or switched off for so long and still have
// mappings, in the order of their ids, behind after.
func (c Conn) ArchivableCustomers(ctx context.Context, inactiveFor time.Duration, after string, atMost int32) ([]string, error) {
	return c.queries.ArchivableCustomers(ctx, c.dbtx, &db.ArchivableCustomersParams{InactiveFor: inactiveFor, After: after, AtMost: atMost})
}

// HoldArchivable keeps a customer inactive until the transaction ends. It returns ErrNotFound if the customer became active.
func (t *Tx) HoldArchivable(ctx context.Context, customer string, inactiveFor time.Duration) error {
	_, err := t.queries.ArchivableCustomer(ctx, t.dbtx, &db.ArchivableCustomerParams{CustomerID: customer, InactiveFor: inactiveFor})
	return err
}

// ArchivedMapping is a mapping's row but for the customer, by its columns.
type ArchivedMapping = json.RawMessage

// MappingsToArchive returns up to atMost of a customer's mappings with their users' ids.
func (t *Tx) MappingsToArchive(ctx context.Context, customer string, atMost int32) (ids []string, mappings []ArchivedMapping, err error) {
	rows, err := t.queries.MappingsToArchive(ctx, t.dbtx, &db.MappingsToArchiveParams{CustomerID: customer, AtMost: atMost})
	for _, row := range rows {
		ids, mappings = append(ids, row.VomoUserID), append(mappings, row.Mapping)
	}
	return ids, mappings, err
}

// ArchiveMappings replaces the mappings of these users by one part of the customer's archive.
func (t *Tx) ArchiveMappings(ctx context.Context, customer string, ids []string, sealed []byte) error {
	return t.queries.MappingsArchive(ctx, t.dbtx, &db.MappingsArchiveParams{CustomerID: customer, Ids: ids, Sealed: sealed})
}

// ArchivePart is a part of a customer's archive.
type ArchivePart struct {
	Part   int64
	Users  int
	Sealed []byte
}

// FirstArchivePart returns a customer's first part, or ErrNotFound if it has none.
func (c Conn) FirstArchivePart(ctx context.Context, customer string) (ArchivePart, error) {
	row, err := c.queries.ArchivePart(ctx, c.dbtx, customer)
	if err != nil {
		return ArchivePart{}, err
	}
	return ArchivePart{Part: row.Part, Users: int(row.Users), Sealed: row.Sealed}, nil
}

// errForeignColumn means that an archive has a column that the table does not have: a newer version archived it.
var errForeignColumn = errors.New("the archive has a column that this version does not know: run the services of the version that archived it")

// RestoreMappings puts a part's mappings back and deletes the part. A mapping that is there already stays as it is. Columns that
// were added since the part was archived get their default.
func (t *Tx) RestoreMappings(ctx context.Context, customer string, part int64, mappings []ArchivedMapping) error {
	if len(mappings) > 0 {
		if err := t.insertArchived(ctx, customer, mappings); err != nil {
			return err
		}
	}
	return t.queries.ArchivePartDelete(ctx, t.dbtx, &db.ArchivePartDeleteParams{CustomerID: customer, Part: part})
}

func (t *Tx) insertArchived(ctx context.Context, customer string, mappings []ArchivedMapping) error {
	var first map[string]json.RawMessage
	if err := json.Unmarshal(mappings[0], &first); err != nil {
		return fmt.Errorf("read archived mapping: %w", err)
	}
	rows, err := t.dbtx.Query(ctx, `SELECT attname::text FROM pg_attribute WHERE attrelid = 'user_mappings'::regclass AND attnum > 0 AND NOT attisdropped`)
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	columns := slices.Sorted(maps.Keys(first))
	for i, column := range columns {
		if !slices.Contains(known, column) {
			return errForeignColumn
		}
		columns[i] = pgx.Identifier{column}.Sanitize()
	}
	encoded, err := json.Marshal(mappings)
	if err != nil {
		return fmt.Errorf("encode archived mappings: %w", err)
	}
	list := strings.Join(columns, ", ")
	_, err = t.dbtx.Exec(ctx, `INSERT INTO user_mappings (customer_id, `+list+`)
		SELECT $1, `+list+` FROM jsonb_populate_recordset(NULL::user_mappings, $2::jsonb)
		ON CONFLICT (customer_id, vomo_user_id) DO NOTHING`, customer, string(encoded))
	return err
}

// DeleteArchive deletes a customer's archive, and reports whether there was one.
func (t *Tx) DeleteArchive(ctx context.Context, customer string) (bool, error) {
	deleted, err := t.queries.ArchiveDeleteAll(ctx, t.dbtx, customer)
	return deleted > 0, err
}
