package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// How letters are settled that no page settles.
const (
	SettledRedriven = "redriven" // a message was published anew
	SettledByHand   = "by_hand"  // an operator acked it
)

// DueLetter is a record's letter whose time has come.
type DueLetter struct {
	OpenLetter

	RecordID string
}

// Letter is a letter of either kind, for whoever acts on one of them.
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
	Revision        int
	Shown           ShownAs // the zero value where the stream does not show it
}

// Open says whether the letter is not settled.
func (l Letter) Open() bool { return l.State != "settled" }

// ShownAs is how the stream shows a letter.
type ShownAs struct {
	Revision int
	Sequence uint64    // 0: not at all
	Stream   time.Time // creation time of the stream that Sequence is in
}

// LetterCustomer is one whose letters, or destination, are to be tried.
type LetterCustomer struct {
	ID        string
	RenewedAt time.Time // when it became active, or had new credentials, last
}

// LetterCustomers are the active customers with letters that are due, the one who waits longest first. It costs a step
// for each customer with waiting letters, however many of them.
func (c Conn) LetterCustomers(ctx context.Context) ([]LetterCustomer, error) {
	rows, err := c.queries.LettersDueCustomers(ctx, c.dbtx)
	customers := make([]LetterCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, LetterCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, wrap("list customers with due letters", err)
}

// IdleWithAlert are the active customers of whom an alert of one of these types stands, and no run is parked for it.
func (c Conn) IdleWithAlert(ctx context.Context, types []string) ([]LetterCustomer, error) {
	rows, err := c.queries.CustomersIdleWithAlert(ctx, c.dbtx, types)
	customers := make([]LetterCustomer, 0, len(rows))
	for _, row := range rows {
		customers = append(customers, LetterCustomer{ID: row.CustomerID, RenewedAt: row.RenewedAt})
	}
	return customers, wrap("list idle customers with an alert", err)
}

// DueLetters are up to atMost of the customer's record letters that are due, the longest due first.
func (c Conn) DueLetters(ctx context.Context, customer string, atMost int32) ([]DueLetter, error) {
	rows, err := c.queries.LettersDue(ctx, c.dbtx, &db.LettersDueParams{CustomerID: customer, AtMost: atMost})
	if err != nil {
		return nil, wrap("read due letters", err)
	}
	letters := make([]DueLetter, 0, len(rows))
	for _, row := range rows {
		letter := DueLetter{RecordID: valueOf(row.RecordID), OpenLetter: OpenLetter{
			ID: row.ID, Version: Version{Hash: row.VersionHash}, ErrorCode: row.ErrorCode, ErrorClass: row.ErrorClass,
			FailedAt: row.LastFailedAt, Attempts: int(row.Attempts),
		}}
		if row.SourceUpdatedAt != nil {
			letter.Version.UpdatedAt = *row.SourceUpdatedAt
		}
		letters = append(letters, letter)
	}
	return letters, nil
}

// AskLetters makes open record letters due at once because an operator asked for it, whether they waited or were in
// review, and returns how many they were; settled ones and message letters are left alone.
func (t *Tx) AskLetters(ctx context.Context, ids []uuid.UUID) (n int64, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err = t.queries.LettersAskIfOpen(ctx, t.dbtx, ids)
	return n, wrap("ask for letters", err)
}

// Letter reads a letter; ErrNotFound where there is none.
func (c Conn) Letter(ctx context.Context, id uuid.UUID) (Letter, error) {
	row, err := c.queries.LetterGet(ctx, c.dbtx, id)
	if err != nil {
		return Letter{}, wrap("read letter", err)
	}
	locked := db.LetterLockRow(*row)
	return letterFrom(&locked), nil
}

// LockLetter reads a letter and keeps it as it is until the transaction ends; it waits for whoever changes it, or
// publishes it, right now. ErrNotFound where there is none.
func (t *Tx) LockLetter(ctx context.Context, id uuid.UUID) (Letter, error) {
	row, err := t.queries.LetterLock(ctx, t.dbtx, id)
	if err != nil {
		return Letter{}, wrap("lock letter", err)
	}
	return letterFrom(row), nil
}

func letterFrom(row *db.LetterLockRow) Letter {
	letter := Letter{
		ID: row.ID, Customer: row.CustomerID, Kind: row.Kind, RecordID: valueOf(row.RecordID), State: row.State,
		PayloadSealed: row.PayloadSealed, HeadersSealed: row.HeadersSealed, OriginalSubject: row.OriginalSubject, TraceID: valueOf(row.TraceID),
		Attempts: int(row.Attempts), Revision: int(row.Revision), Shown: shownAs(row.ShownSeq, row.ShownStream),
	}
	if row.ShownRevision != nil {
		letter.Shown.Revision = int(*row.ShownRevision)
	}
	return letter
}

// SettleLetter settles an open letter that the transaction has locked, with a line in the audit.
func (t *Tx) SettleLetter(ctx context.Context, letter Letter, how, operation string) error {
	if _, err := t.queries.LetterSettleIfOpen(ctx, t.dbtx, &db.LetterSettleIfOpenParams{How: how, ID: letter.ID}); err != nil {
		return wrap("settle letter", err)
	}
	record := letter.RecordID
	if record == "" {
		record = letter.ID.String()
	}
	params := &db.AuditInsertLetterParams{CustomerID: letter.Customer, ResourceType: letter.Kind, RecordID: record, Operation: operation}
	if letter.TraceID != "" {
		params.TraceID = &letter.TraceID
	}
	return wrap("audit letter", t.queries.AuditInsertLetter(ctx, t.dbtx, params))
}

// OpenLettersByState counts the open letters of all customers.
func (c Conn) OpenLettersByState(ctx context.Context) (map[string]int64, error) {
	rows, err := c.queries.LettersOpenByState(ctx, c.dbtx)
	if err != nil {
		return nil, wrap("count open letters", err)
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

// UndisputedUsers are up to atMost VOMO ids of users, in the order of ids and behind that one, who stand in the customer's
// destination and have no open letter.
func (c Conn) UndisputedUsers(ctx context.Context, customer, after string, atMost int32) ([]string, error) {
	ids, err := c.queries.MappingsWithoutLetter(ctx, c.dbtx, &db.MappingsWithoutLetterParams{CustomerID: customer, After: after, AtMost: atMost})
	return ids, wrap("read users without letters", err)
}
