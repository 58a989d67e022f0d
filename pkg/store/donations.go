package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
)

// CapturedDonation is a donation as it is stored for the first time, or in place of one that is over.
type CapturedDonation struct {
	Customer          string
	PlatformID        string
	TransactionSource string
	DonationSealed    []byte // in its canonical form
	BodySealed        []byte // the transaction, as it is sent each time
	ContentHash       []byte
	ProjectsChecked   bool // false: they are checked before the transaction is first sent
	TraceID           string
}

// CaptureDonation adds a pending donation and settles the letters of earlier messages with its id, in a transaction of its own that shares the
// customer with others of its kind, and that takes one round trip. added is false, and nothing is changed, if its id is known or the customer is
// not onboarded. origin is that of the present message.
func (s *Store) CaptureDonation(ctx context.Context, one CapturedDonation, origin string) (added bool, err error) {
	var together pgx.Batch // statements that are sent together are one transaction
	locking := capture(func(on db.DBTX) error { return s.queries.CustomerLockShared(ctx, on, one.Customer) })
	adding := capture(func(on db.DBTX) error {
		_, err := s.queries.DonationCaptureIfNew(ctx, on, &db.DonationCaptureIfNewParams{
			CustomerID: one.Customer, PlatformDonationID: one.PlatformID, TransactionSource: one.TransactionSource, DonationSealed: one.DonationSealed,
			BodySealed: one.BodySealed, ContentHash: one.ContentHash, ProjectsChecked: one.ProjectsChecked, TraceID: one.TraceID, Origin: origin,
		})
		return err
	})
	together.Queue(locking.sql, locking.arguments...)
	together.Queue(adding.sql, adding.arguments...).QueryRow(func(row pgx.Row) error { return row.Scan(&added) })
	if err := s.pool.Load().SendBatch(ctx, &together).Close(); err != nil {
		return false, mapError(operationOf(adding.sql), err)
	}
	return added, nil
}

// KnownDonation is what a donation with the same id is compared with.
type KnownDonation struct {
	ID          int64
	Status      string
	ContentHash []byte
}

// LockDonation reads and locks a donation by the platform's id; ErrNotFound if there is none.
func (t *Tx) LockDonation(ctx context.Context, customer, platformID string) (KnownDonation, error) {
	row, err := t.queries.DonationLock(ctx, t.dbtx, &db.DonationLockParams{CustomerID: customer, PlatformDonationID: platformID})
	if err != nil {
		return KnownDonation{}, err
	}
	return KnownDonation(*row), nil
}

// HasDonation reports whether there is a donation with this id and content.
func (c Conn) HasDonation(ctx context.Context, customer, platformID string, contentHash []byte) (bool, error) {
	return c.queries.DonationExists(ctx, c.dbtx, &db.DonationExistsParams{CustomerID: customer, PlatformDonationID: platformID, ContentHash: contentHash})
}

// ReplaceDonation gives a donation another content and makes it pending. replaced is false if Virtuous has, or may have, the first content.
func (t *Tx) ReplaceDonation(ctx context.Context, id int64, one CapturedDonation) (replaced bool, err error) {
	rows, err := t.queries.DonationReplaceIfOver(ctx, t.dbtx, &db.DonationReplaceIfOverParams{
		CustomerID: one.Customer, ID: id, TransactionSource: one.TransactionSource, DonationSealed: one.DonationSealed,
		BodySealed: one.BodySealed, ContentHash: one.ContentHash, ProjectsChecked: one.ProjectsChecked, TraceID: one.TraceID,
	})
	return rows > 0, err
}

// DonationCustomer is a customer with due donations or contacts.
type DonationCustomer struct {
	ID        string
	RenewedAt time.Time // when its settings last changed, or it became active
}

// DonationCustomers returns the customers with due donations or contacts that are neither paused nor held. Its cost grows with the number of customers
// that have pending ones.
func (c Conn) DonationCustomers(ctx context.Context) ([]DonationCustomer, error) {
	rows, err := c.queries.DonationCustomers(ctx, c.dbtx)
	customers := make([]DonationCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, DonationCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, err
}
