package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// How letters are settled outside of a page's transaction.
const (
	SettledRedriven = "redriven" // a message was published again, or a write-back became due again
	SettledByHand   = "by_hand"  // an operator acked it
)

// DueLetter is a record's letter that is due for a retry.
type DueLetter struct {
	OpenLetter

	Kind     string
	RecordID string
	DueSince time.Time
}

// Letter is a letter of either kind, for callers that act on a single one.
type Letter struct {
	ID              uuid.UUID
	Customer        string
	Kind            string
	RecordID        string // record letters
	State           string // "waiting", "review" or "settled"
	PayloadSealed   []byte // message letters
	HeadersSealed   []byte // message letters; null for a message without headers, and for letters of older versions
	OriginalSubject string
	TraceID         string
	Attempts        int
	Revision        int // grows with every change that the stream publishes
}

// Open reports whether the letter is not settled.
func (l Letter) Open() bool { return l.State != "settled" }

// LetterCustomer is a customer whose letters, or whose destination, are to be tried.
type LetterCustomer struct {
	ID        string
	RenewedAt time.Time // when it last became active or got new credentials
}

const (
	// drainedLetters is more letters than a drain makes due at once: a customer waits for the end of such a drain.
	drainedLetters = 500
	// longestDrain is for how long a customer waits for it.
	longestDrain = 10 * time.Second
	// drainedLately is for how long a drain that has ended says that no more letters become due.
	drainedLately = 5 * time.Second
)

// LetterCustomers returns the active customers with due letters, the longest waiting first. Its cost grows with the number
// of customers that have waiting letters, not with the number of letters. A customer whose letters a drain is making due is left out
// until the drain ends, for 10 s at most.
func (c Conn) LetterCustomers(ctx context.Context) ([]LetterCustomer, error) {
	rows, err := c.queries.LettersDueCustomers(ctx, c.dbtx, &db.LettersDueCustomersParams{Many: drainedLetters, Longest: longestDrain})
	customers := make([]LetterCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, LetterCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, err
}

// IdleWithAlert returns the active customers that have an active alert of one of these types and no run parked for it.
func (c Conn) IdleWithAlert(ctx context.Context, types []string) ([]LetterCustomer, error) {
	rows, err := c.queries.CustomersIdleWithAlert(ctx, c.dbtx, types)
	customers := make([]LetterCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, LetterCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, err
}

// DueLetters returns up to atMost of the customer's due record letters, the longest due first.
func (c Conn) DueLetters(ctx context.Context, customer string, atMost int32) ([]DueLetter, error) {
	rows, err := c.queries.LettersDue(ctx, c.dbtx, &db.LettersDueParams{CustomerID: customer, AtMost: atMost})
	if err != nil {
		return nil, err
	}
	letters := make([]DueLetter, 0, len(rows))
	for _, row := range rows {
		letter := DueLetter{Kind: row.Kind, RecordID: valueOf(row.RecordID), OpenLetter: OpenLetter{
			ID: row.ID, Version: Version{Hash: row.VersionHash}, ErrorCode: row.ErrorCode, ErrorClass: row.ErrorClass,
			FailedAt: row.LastFailedAt, Attempts: int(row.Attempts),
		}}
		if row.NextAttemptAt != nil {
			letter.DueSince = *row.NextAttemptAt
		}
		if row.SourceUpdatedAt != nil {
			letter.Version.UpdatedAt = *row.SourceUpdatedAt
		}
		letters = append(letters, letter)
	}
	return letters, nil
}

// DueCount says how many of a customer's record letters are due.
type DueCount struct {
	Letters int64     // counted up to a number
	Now     time.Time // the database's
	Drained bool      // a drain of the customer ended a moment ago: it has made due what it was asked for
}

// CountDueLetters returns how many of the customer's record letters are due, counted up to atMost.
func (c Conn) CountDueLetters(ctx context.Context, customer string, atMost int32) (DueCount, error) {
	row, err := c.queries.LettersDueCount(ctx, c.dbtx, &db.LettersDueCountParams{CustomerID: customer, AtMost: atMost, Lately: drainedLately})
	if err != nil {
		return DueCount{}, err
	}
	return DueCount(*row), nil
}

// DueVersion is the version of a record whose letter is due.
type DueVersion struct {
	Letter    uuid.UUID
	UpdatedAt time.Time // zero if it has no time
}

// DueLettersOf returns the versions of those of these records of a kind whose letters are due, by the records' ids.
func (c Conn) DueLettersOf(ctx context.Context, customer, kind string, records []string) (map[string]DueVersion, error) {
	if len(records) == 0 {
		return map[string]DueVersion{}, nil
	}
	rows, err := c.queries.LettersDueOf(ctx, c.dbtx, &db.LettersDueOfParams{CustomerID: customer, Kind: kind, RecordIds: records})
	if err != nil {
		return nil, err
	}
	due := make(map[string]DueVersion, len(rows))
	for _, row := range rows {
		version := DueVersion{Letter: row.ID}
		if row.SourceUpdatedAt != nil {
			version.UpdatedAt = *row.SourceUpdatedAt
		}
		due[valueOf(row.RecordID)] = version
	}
	return due, nil
}

// AskLetters makes open record letters due at once because an operator asked for it, whether they waited or were in
// review, and returns how many there were. Letters of write-backs are settled, and their rows become due. Settled letters
// and message letters stay as they are.
func (t *Tx) AskLetters(ctx context.Context, ids []uuid.UUID) (n int64, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	writebacks, err := t.retryWritebacks(ctx, ids)
	if err != nil {
		return 0, err
	}
	records, err := t.queries.LettersAskIfOpen(ctx, t.dbtx, ids)
	return records + writebacks, err
}

// AskHeldLetters does what AskLetters does, with letters that HoldOpenLetters has locked in this transaction.
func (t *Tx) AskHeldLetters(ctx context.Context, held []uuid.UUID) error {
	if len(held) == 0 {
		return nil
	}
	if _, err := t.retryWritebacks(ctx, held); err != nil {
		return err
	}
	return t.queries.LettersAskHeld(ctx, t.dbtx, held)
}

// LockLetter reads a letter and locks it until the transaction ends. It waits for a transaction that changes or publishes
// the letter right now. It returns ErrNotFound if there is no such letter.
func (t *Tx) LockLetter(ctx context.Context, id uuid.UUID) (Letter, error) {
	row, err := t.queries.LetterLock(ctx, t.dbtx, id)
	if err != nil {
		return Letter{}, err
	}
	return letterFrom(row), nil
}

func letterFrom(row *db.LetterLockRow) Letter {
	return Letter{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, RecordID: valueOf(row.RecordID), State: row.State,
		PayloadSealed: row.PayloadSealed, HeadersSealed: row.HeadersSealed, OriginalSubject: row.OriginalSubject, TraceID: valueOf(row.TraceID),
		Attempts: int(row.Attempts), Revision: int(row.Revision),
	}
}

// SettleLetter settles an open letter that the transaction has locked, with a line in the audit.
func (t *Tx) SettleLetter(ctx context.Context, letter Letter, how, operation string) error {
	if err := t.dropWritebacks(ctx, []uuid.UUID{letter.ID}); err != nil {
		return err
	}
	if _, err := t.queries.LetterSettleIfOpen(ctx, t.dbtx, &db.LetterSettleIfOpenParams{How: how, ID: letter.ID}); err != nil {
		return err
	}
	record := letter.RecordID
	if record == "" {
		record = letter.ID.String()
	}
	params := &db.AuditInsertLetterParams{CustomerID: letter.Customer, ResourceType: letter.Kind, RecordID: record, Operation: operation}
	if letter.TraceID != "" {
		params.TraceID = &letter.TraceID
	}
	return t.queries.AuditInsertLetter(ctx, t.dbtx, params)
}

// OpenLettersByState counts the open letters of all customers.
func (c Conn) OpenLettersByState(ctx context.Context) (map[string]int64, error) {
	rows, err := c.queries.LettersOpenByState(ctx, c.dbtx)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		counts[row.State] = row.Count
	}
	return counts, nil
}

func valueOf(column *string) string {
	if column == nil {
		return ""
	}
	return *column
}

// UndisputedUsers returns up to atMost VOMO ids after the given one, in order, of users that the customer's destination has
// and that have no open letter.
func (c Conn) UndisputedUsers(ctx context.Context, customer, after string, atMost int32) ([]string, error) {
	return c.queries.MappingsWithoutLetter(ctx, c.dbtx, &db.MappingsWithoutLetterParams{CustomerID: customer, After: after, AtMost: atMost})
}
