package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// LateTransaction is a transaction that Virtuous accepted some time ago and of which it has no gift or contact.
type LateTransaction struct {
	Kind              TransactionKind
	Place             Place
	ID                int64
	PlatformID        string // as in DueTransaction
	TransactionSource string
	SubmittedAt       time.Time
	LookedUpLately    bool // within the last hour, since it is submitted, there was no gift or contact
}

// SubmittedBefore returns up to atMost transactions that were submitted more than age ago, the oldest first, after a place.
func (c Conn) SubmittedBefore(
	ctx context.Context, kind TransactionKind, customer string, age time.Duration, after Place, atMost int32,
) ([]LateTransaction, error) {
	params := db.DonationsSubmittedBeforeParams{CustomerID: customer, Age: age, AfterTime: after.At, AfterID: after.ID, AtMost: atMost}
	var rows []*db.DonationsSubmittedBeforeRow
	var err error
	if kind == ContactTransaction {
		of := db.ContactsSubmittedBeforeParams(params)
		var found []*db.ContactsSubmittedBeforeRow
		found, err = c.queries.ContactsSubmittedBefore(ctx, c.dbtx, &of)
		for _, row := range found {
			one := db.DonationsSubmittedBeforeRow(*row)
			rows = append(rows, &one)
		}
	} else {
		rows, err = c.queries.DonationsSubmittedBefore(ctx, c.dbtx, &params)
	}
	late := make([]LateTransaction, 0, len(rows))
	for _, row := range rows {
		late = append(late, LateTransaction{
			Kind: kind, Place: Place{At: timeOf(row.SubmittedAt), ID: row.ID}, ID: row.ID, PlatformID: row.PlatformID,
			TransactionSource: row.TransactionSource, SubmittedAt: timeOf(row.SubmittedAt), LookedUpLately: row.LookedUpLately,
		})
	}
	return late, err
}

// ToLookUpAgain returns up to atMost transactions in review that are to be looked up by then, the longest due first.
func (c Conn) ToLookUpAgain(
	ctx context.Context, kind TransactionKind, customer string, until time.Time, after Place, atMost int32,
) ([]LateTransaction, error) {
	params := db.DonationsToLookUpAgainParams{CustomerID: customer, DueUntil: until, AfterTime: after.At, AfterID: after.ID, AtMost: atMost}
	var rows []*db.DonationsToLookUpAgainRow
	var err error
	if kind == ContactTransaction {
		of := db.ContactsToLookUpAgainParams(params)
		var found []*db.ContactsToLookUpAgainRow
		found, err = c.queries.ContactsToLookUpAgain(ctx, c.dbtx, &of)
		for _, row := range found {
			one := db.DonationsToLookUpAgainRow(*row)
			rows = append(rows, &one)
		}
	} else {
		rows, err = c.queries.DonationsToLookUpAgain(ctx, c.dbtx, &params)
	}
	late := make([]LateTransaction, 0, len(rows))
	for _, row := range rows {
		late = append(late, LateTransaction{
			Kind: kind, Place: Place{At: timeOf(row.NextLookupAt), ID: row.ID}, ID: row.ID, PlatformID: row.PlatformID,
			TransactionSource: row.TransactionSource, SubmittedAt: timeOf(row.SubmittedAt),
		})
	}
	return late, err
}

// NoteLookup notes that there is no gift or contact of a submitted transaction now.
func (t *Tx) NoteLookup(ctx context.Context, customer string, one LateTransaction) error {
	params := db.DonationNoteLookupParams{CustomerID: customer, ID: one.ID}
	var err error
	if one.Kind == ContactTransaction {
		of := db.ContactNoteLookupParams(params)
		_, err = t.queries.ContactNoteLookup(ctx, t.dbtx, &of)
	} else {
		_, err = t.queries.DonationNoteLookup(ctx, t.dbtx, &params)
	}
	return err
}

// Review says why a person looks at a transaction.
type Review struct {
	Age      time.Duration // it was submitted longer ago than this
	Reason   string
	LookedUp bool      // just now
	Asked    time.Time // when the pass was asked for; the next lookup is due a day later
}

// MarkNeedsReview has a person look at a transaction. changed is false if it is not submitted any more.
func (t *Tx) MarkNeedsReview(ctx context.Context, customer string, one LateTransaction, why Review) (changed bool, err error) {
	params := db.DonationNeedReviewIfSubmittedParams{
		CustomerID: customer, ID: one.ID, Age: why.Age, Reason: why.Reason, LookedUp: why.LookedUp, AskedAt: why.Asked,
	}
	if one.Kind == ContactTransaction {
		of := db.ContactNeedReviewIfSubmittedParams(params)
		return isChanged(t.queries.ContactNeedReviewIfSubmitted(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationNeedReviewIfSubmitted(ctx, t.dbtx, &params))
}

// StillNeedsReview notes that there is still no gift or contact of a transaction in review, why, and, from when the pass was asked for, when it is
// looked up again.
func (t *Tx) StillNeedsReview(ctx context.Context, customer string, one LateTransaction, reason string, asked time.Time) error {
	params := db.DonationStillNeedsReviewParams{CustomerID: customer, ID: one.ID, Reason: reason, AskedAt: asked}
	var err error
	if one.Kind == ContactTransaction {
		of := db.ContactStillNeedsReviewParams(params)
		_, err = t.queries.ContactStillNeedsReview(ctx, t.dbtx, &of)
	} else {
		_, err = t.queries.DonationStillNeedsReview(ctx, t.dbtx, &params)
	}
	return err
}

// AnyConfirmedBetween reports whether a transaction of the kind that was submitted in a time is confirmed.
func (c Conn) AnyConfirmedBetween(ctx context.Context, kind TransactionKind, customer string, from, to time.Time) (bool, error) {
	params := db.DonationConfirmedBetweenParams{CustomerID: customer, FromTime: from, ToTime: to}
	if kind == ContactTransaction {
		of := db.ContactConfirmedBetweenParams(params)
		return c.queries.ContactConfirmedBetween(ctx, c.dbtx, &of)
	}
	return c.queries.DonationConfirmedBetween(ctx, c.dbtx, &params)
}
