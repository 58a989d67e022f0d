package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// DueDonation is a pending donation whose next attempt is due.
type DueDonation struct {
	ID                int64
	PlatformID        string
	TransactionSource string
	BodySealed        []byte
	ContentHash       []byte
	ProjectsChecked   bool
	Attempts          int        // POSTs so far
	Unsent            int        // attempts since the last POST that sent nothing
	UnansweredSince   *time.Time // start of the first attempt that may have been accepted; nil: there was none
}

// DueDonations returns up to atMost of a customer's due donations, the longest due first.
func (c Conn) DueDonations(ctx context.Context, customer string, atMost int32) ([]DueDonation, error) {
	rows, err := c.queries.DonationsDue(ctx, c.dbtx, &db.DonationsDueParams{CustomerID: customer, AtMost: atMost})
	due := make([]DueDonation, 0, len(rows))
	for _, row := range rows {
		due = append(due, DueDonation{
			ID: row.ID, PlatformID: row.PlatformDonationID, TransactionSource: row.TransactionSource, BodySealed: row.BodySealed,
			ContentHash: row.ContentHash, ProjectsChecked: row.ProjectsChecked, Attempts: int(row.Attempts), Unsent: int(row.UnsentAttempts),
			UnansweredSince: row.UnansweredSince,
		})
	}
	return due, err
}

// DonationAttempt is an attempt that was noted before its request leaves. Epoch is the lane's. The methods of Tx that end an attempt change
// nothing if the donation is not pending any more, or if a later holder of the lane has noted an attempt.
type DonationAttempt struct {
	Customer string
	Epoch    int64
	Before   DueDonation // as it was read
	Number   int
}

// BeginDonationAttempt notes an attempt; lookedUp says that no gift was found just before. begun is false if the donation is not as it was read.
func (t *Tx) BeginDonationAttempt(ctx context.Context, lease *Lease, one DueDonation, lookedUp bool) (attempt DonationAttempt, begun bool, err error) {
	number, err := t.queries.DonationAttemptBegin(ctx, t.dbtx, &db.DonationAttemptBeginParams{
		CustomerID: lease.Customer, ID: one.ID, Epoch: lease.Epoch, LookedUp: lookedUp, ContentHash: one.ContentHash,
	})
	if isNotFound(err) {
		return DonationAttempt{}, false, nil
	}
	return DonationAttempt{Customer: lease.Customer, Epoch: lease.Epoch, Before: one, Number: int(number)}, err == nil, err
}

// SubmitDonation notes that Virtuous has the transaction; repeated says that it had it before this attempt.
func (t *Tx) SubmitDonation(ctx context.Context, attempt DonationAttempt, repeated bool) (changed bool, err error) {
	rows, err := t.queries.DonationSubmitIfAttempting(ctx, t.dbtx, &db.DonationSubmitIfAttemptingParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, Repeated: repeated,
	})
	return rows > 0, err
}

// FailDonation notes that Virtuous rejects the transaction as it is.
func (t *Tx) FailDonation(ctx context.Context, attempt DonationAttempt, lastError string) (changed bool, err error) {
	rows, err := t.queries.DonationFailIfAttempting(ctx, t.dbtx, &db.DonationFailIfAttemptingParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, LastError: lastError, UnansweredSince: attempt.Before.UnansweredSince,
	})
	return rows > 0, err
}

// FailUnsentDonation notes that the transaction is not sent as it is. changed is false if the donation is not as it was read.
func (t *Tx) FailUnsentDonation(ctx context.Context, customer string, one DueDonation, lastError string) (changed bool, err error) {
	rows, err := t.queries.DonationFailIfPending(ctx, t.dbtx, &db.DonationFailIfPendingParams{
		CustomerID: customer, ID: one.ID, ContentHash: one.ContentHash, LastError: lastError,
	})
	return rows > 0, err
}

// Unaccepted is how an attempt ended after which the donation waits for the next one.
type Unaccepted struct {
	IsSent        bool // an attempt that was not sent counts for the delay only, and not at all if there is none
	MayBeAccepted bool // nothing says that the transaction was not accepted
	Delay         time.Duration
	LastError     string // field names and codes
}

// WaitDonation notes that the attempt ended, and when the next is due.
func (t *Tx) WaitDonation(ctx context.Context, attempt DonationAttempt, end Unaccepted) (changed bool, err error) {
	rows, err := t.queries.DonationWaitIfAttempting(ctx, t.dbtx, &db.DonationWaitIfAttemptingParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, Sent: end.IsSent, MaybeAccepted: end.MayBeAccepted,
		Delay: end.Delay, LastError: end.LastError, UnansweredSince: attempt.Before.UnansweredSince,
	})
	return rows > 0, err
}

// PostponeDonation puts off a donation of which nothing was sent, such as because its gift could not be looked for: by twice as long each time, within
// these bounds.
func (t *Tx) PostponeDonation(ctx context.Context, customer string, id int64, shortest, longest time.Duration, lastError string) (changed bool, err error) {
	rows, err := t.queries.DonationPostponeIfPending(ctx, t.dbtx, &db.DonationPostponeIfPendingParams{
		CustomerID: customer, ID: id, Shortest: shortest, Longest: longest, LastError: lastError,
	})
	return rows > 0, err
}
