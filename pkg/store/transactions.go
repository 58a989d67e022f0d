package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// TransactionKind says what a transaction for Virtuous is of. Each kind has a queue of its own; the states and the rules are the same.
type TransactionKind int

// Kinds of transactions.
const (
	DonationTransaction TransactionKind = iota
	ContactTransaction
)

// DueTransaction is a pending transaction whose next attempt is due.
type DueTransaction struct {
	Kind              TransactionKind
	ID                int64
	PlatformID        string // the donation's id, or the contact's reference
	TransactionSource string
	BodySealed        []byte
	ContentHash       []byte
	ProjectsChecked   bool
	Attempts          int // POSTs so far
	Unsent            int // attempts since the last POST that sent nothing
	DueAt             time.Time
	UnansweredSince   *time.Time // start of the first attempt that may have been accepted; nil: there was none
}

// DueTransactions returns up to atMost of a customer's due transactions of a kind, the longest due first.
func (c Conn) DueTransactions(ctx context.Context, kind TransactionKind, customer string, atMost int32) ([]DueTransaction, error) {
	params := db.DonationsDueParams{CustomerID: customer, AtMost: atMost}
	var rows []*db.DonationsDueRow
	var err error
	if kind == ContactTransaction {
		of := db.ContactTransactionsDueParams(params)
		var found []*db.ContactTransactionsDueRow
		found, err = c.queries.ContactTransactionsDue(ctx, c.dbtx, &of)
		for _, row := range found {
			one := db.DonationsDueRow(*row)
			rows = append(rows, &one)
		}
	} else {
		rows, err = c.queries.DonationsDue(ctx, c.dbtx, &params)
	}
	due := make([]DueTransaction, 0, len(rows))
	for _, row := range rows {
		due = append(due, DueTransaction{
			Kind: kind, ID: row.ID, PlatformID: row.PlatformID, TransactionSource: row.TransactionSource, BodySealed: row.BodySealed,
			ContentHash: row.ContentHash, ProjectsChecked: row.ProjectsChecked, Attempts: int(row.Attempts), Unsent: int(row.UnsentAttempts),
			DueAt: row.DueAt, UnansweredSince: row.UnansweredSince,
		})
	}
	return due, err
}

// TransactionAttempt is an attempt that was noted before its request leaves. Epoch is the lane's. The methods of Tx that end an attempt change
// nothing if the transaction is not pending any more, or if a later holder of the lane has noted an attempt.
type TransactionAttempt struct {
	Customer string
	Epoch    int64
	Before   DueTransaction // as it was read
	Number   int
}

// BeginTransactionAttempt notes an attempt; lookedUp says that nothing was found just before. begun is false if the transaction is not as it was read.
func (t *Tx) BeginTransactionAttempt(
	ctx context.Context, lease *Lease, one DueTransaction, lookedUp bool,
) (attempt TransactionAttempt, begun bool, err error) {
	params := db.DonationAttemptBeginParams{CustomerID: lease.Customer, ID: one.ID, Epoch: lease.Epoch, LookedUp: lookedUp, ContentHash: one.ContentHash}
	var number int32
	if one.Kind == ContactTransaction {
		of := db.ContactAttemptBeginParams(params)
		number, err = t.queries.ContactAttemptBegin(ctx, t.dbtx, &of)
	} else {
		number, err = t.queries.DonationAttemptBegin(ctx, t.dbtx, &params)
	}
	if isNotFound(err) {
		return TransactionAttempt{}, false, nil
	}
	return TransactionAttempt{Customer: lease.Customer, Epoch: lease.Epoch, Before: one, Number: int(number)}, err == nil, err
}

// AttemptAnswer is what the list of a transaction's attempts keeps of an answer.
type AttemptAnswer struct {
	Verdict   string
	Status    int    // 0: there was no answer
	RequestID string // at Virtuous; "" if it is not known
	Error     string // field names and codes
}

// NoteTransactionAttempt adds an answer to the transaction's list of attempts.
func (t *Tx) NoteTransactionAttempt(ctx context.Context, attempt TransactionAttempt, answer AttemptAnswer) error {
	params := db.DonationAttemptNoteParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Verdict: answer.Verdict, HttpStatus: column(answer.Status), RequestID: answer.RequestID,
		Error: answer.Error,
	}
	if attempt.Before.Kind == ContactTransaction {
		of := db.ContactAttemptNoteParams(params)
		return t.queries.ContactAttemptNote(ctx, t.dbtx, &of)
	}
	return t.queries.DonationAttemptNote(ctx, t.dbtx, &params)
}

// SubmitTransaction notes that Virtuous has the transaction; repeated says that it had it before this attempt.
func (t *Tx) SubmitTransaction(ctx context.Context, attempt TransactionAttempt, repeated bool) (changed bool, err error) {
	params := db.DonationSubmitIfAttemptingParams{CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, Repeated: repeated}
	if attempt.Before.Kind == ContactTransaction {
		of := db.ContactSubmitIfAttemptingParams(params)
		return isChanged(t.queries.ContactSubmitIfAttempting(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationSubmitIfAttempting(ctx, t.dbtx, &params))
}

// FailTransaction notes that Virtuous rejects the transaction as it is.
func (t *Tx) FailTransaction(ctx context.Context, attempt TransactionAttempt, lastError string) (changed bool, err error) {
	params := db.DonationFailIfAttemptingParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, LastError: lastError, UnansweredSince: attempt.Before.UnansweredSince,
	}
	if attempt.Before.Kind == ContactTransaction {
		of := db.ContactFailIfAttemptingParams(params)
		return isChanged(t.queries.ContactFailIfAttempting(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationFailIfAttempting(ctx, t.dbtx, &params))
}

// FailUnsentTransaction notes that the transaction is not sent as it is. changed is false if it is not as it was read.
func (t *Tx) FailUnsentTransaction(ctx context.Context, customer string, one DueTransaction, lastError string) (changed bool, err error) {
	params := db.DonationFailIfPendingParams{CustomerID: customer, ID: one.ID, ContentHash: one.ContentHash, LastError: lastError}
	if one.Kind == ContactTransaction {
		of := db.ContactFailIfPendingParams(params)
		return isChanged(t.queries.ContactFailIfPending(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationFailIfPending(ctx, t.dbtx, &params))
}

// Unaccepted is how an attempt ended after which the transaction waits for the next one.
type Unaccepted struct {
	IsSent        bool // an attempt that was not sent counts for the delay only, and not at all if there is none
	MayBeAccepted bool // nothing says that the transaction was not accepted
	Delay         time.Duration
	LastError     string // field names and codes
}

// WaitTransaction notes that the attempt ended, and when the next is due.
func (t *Tx) WaitTransaction(ctx context.Context, attempt TransactionAttempt, end Unaccepted) (changed bool, err error) {
	params := db.DonationWaitIfAttemptingParams{
		CustomerID: attempt.Customer, ID: attempt.Before.ID, Epoch: attempt.Epoch, Sent: end.IsSent, MaybeAccepted: end.MayBeAccepted,
		Delay: end.Delay, LastError: end.LastError, UnansweredSince: attempt.Before.UnansweredSince,
	}
	if attempt.Before.Kind == ContactTransaction {
		of := db.ContactWaitIfAttemptingParams(params)
		return isChanged(t.queries.ContactWaitIfAttempting(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationWaitIfAttempting(ctx, t.dbtx, &params))
}

// PostponeTransaction puts off a transaction of which nothing was sent, such as because its record could not be looked for: by twice as long each
// time, within these bounds.
func (t *Tx) PostponeTransaction(
	ctx context.Context, customer string, one DueTransaction, shortest, longest time.Duration, lastError string,
) (changed bool, err error) {
	params := db.DonationPostponeIfPendingParams{CustomerID: customer, ID: one.ID, Shortest: shortest, Longest: longest, LastError: lastError}
	if one.Kind == ContactTransaction {
		of := db.ContactPostponeIfPendingParams(params)
		return isChanged(t.queries.ContactPostponeIfPending(ctx, t.dbtx, &of))
	}
	return isChanged(t.queries.DonationPostponeIfPending(ctx, t.dbtx, &params))
}

func isChanged(rows int64, err error) (bool, error) { return rows > 0, err }
