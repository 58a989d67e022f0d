package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// States of a write-back.
const (
	WritebackWaiting = "waiting" // it is worked when the customer's turn comes
	WritebackReview  = "review"  // a person has to decide
	WritebackLetter  = "letter"  // VOMO rejected it
	WritebackDone    = "done"
)

// Writeback is what an external system wants to have in VOMO for one user.
type Writeback struct {
	ID         int64
	VomoID     string // "" if it is not known
	ExternalID string // the external system's own id, or ""
	State      string
	Sealed     []byte           // the values to write; nil if there are none
	Stamps     map[string]int64 // when each field's latest value was published, in nanoseconds
	Revision   int32            // grows with each message
	Decision   string           // an operator's, or ""
	Attempts   int              // that VOMO rejected
	LetterID   *uuid.UUID       // its open letter
}

func writebackFrom(row *db.WritebacksWaitingRow) (Writeback, error) {
	one := Writeback{
		ID: row.ID, VomoID: valueOf(row.VomoUserID), ExternalID: valueOf(row.ExternalUserID), State: row.State, Sealed: row.ValuesSealed,
		Revision: row.Revision, Decision: valueOf(row.Decision), Attempts: int(row.Attempts), LetterID: row.LetterID,
	}
	if err := json.Unmarshal(row.Stamps, &one.Stamps); err != nil {
		return one, fmt.Errorf("decode stamps of write-back %d: %w", row.ID, err)
	}
	return one, nil
}

// LockWriteback reads and locks the row of a user, by the VOMO id if it is known, and otherwise by the external system's id.
// ErrNotFound if there is none.
func (t *Tx) LockWriteback(ctx context.Context, customer, vomoID, externalID string) (Writeback, error) {
	if vomoID != "" {
		row, err := t.queries.WritebackLockByVomo(ctx, t.dbtx, &db.WritebackLockByVomoParams{CustomerID: customer, VomoUserID: vomoID})
		if err == nil || !isNotFound(err) || externalID == "" {
			if err != nil {
				return Writeback{}, err
			}
			known := db.WritebacksWaitingRow(*row)
			return writebackFrom(&known)
		}
	}
	if externalID == "" {
		return Writeback{}, ErrNotFound
	}
	row, err := t.queries.WritebackLockByExternal(ctx, t.dbtx, &db.WritebackLockByExternalParams{CustomerID: customer, ExternalUserID: externalID})
	if err != nil {
		return Writeback{}, err
	}
	known := db.WritebacksWaitingRow(*row)
	return writebackFrom(&known)
}

// AddWriteback adds the row of a user.
func (t *Tx) AddWriteback(ctx context.Context, customer string, one Writeback) error {
	stamps, err := json.Marshal(one.Stamps)
	if err != nil {
		return fmt.Errorf("encode stamps: %w", err)
	}
	_, err = t.queries.WritebackInsert(ctx, t.dbtx, &db.WritebackInsertParams{
		CustomerID: customer, VomoUserID: given(one.VomoID), ExternalUserID: given(one.ExternalID), ValuesSealed: one.Sealed, Stamps: stamps,
	})
	return err
}

// MergeWriteback stores newer values of a locked row, and makes it due.
func (t *Tx) MergeWriteback(ctx context.Context, one Writeback) error {
	stamps, err := json.Marshal(one.Stamps)
	if err != nil {
		return fmt.Errorf("encode stamps: %w", err)
	}
	return t.queries.WritebackMerge(ctx, t.dbtx, &db.WritebackMergeParams{ValuesSealed: one.Sealed, Stamps: stamps, ID: one.ID})
}

// WritebackCustomers returns the active customers with rows that wait and are not held. Its cost grows with the number of
// customers that have such rows.
func (c Conn) WritebackCustomers(ctx context.Context) ([]string, error) {
	return c.queries.WritebackCustomers(ctx, c.dbtx)
}

// WaitingWritebacks returns up to atMost of a customer's rows that wait, the longest waiting first.
func (c Conn) WaitingWritebacks(ctx context.Context, customer string, atMost int32) ([]Writeback, error) {
	rows, err := c.queries.WritebacksWaiting(ctx, c.dbtx, &db.WritebacksWaitingParams{CustomerID: customer, AtMost: atMost})
	if err != nil {
		return nil, err
	}
	found := make([]Writeback, 0, len(rows))
	for _, row := range rows {
		one, err := writebackFrom(row)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

// WritebackEnd is how the work on a row ended.
type WritebackEnd struct {
	State    string
	Outcome  string     // of a row that is done
	Refused  []string   // fields that were not written, because the external system does not own them
	LetterID *uuid.UUID // of a row that became a letter
	Attempts int
}

// EndWriteback ends the work on a row as it was read; ended is false if a newer message has come since, and the row then
// still waits.
func (t *Tx) EndWriteback(ctx context.Context, one Writeback, end WritebackEnd) (ended bool, err error) {
	refused := end.Refused
	if refused == nil {
		refused = []string{}
	}
	changed, err := t.queries.WritebackSettle(ctx, t.dbtx, &db.WritebackSettleParams{
		State: end.State, Outcome: end.Outcome, Refused: refused, LetterID: end.LetterID, Attempts: column(end.Attempts), ID: one.ID, Revision: one.Revision,
	})
	return changed > 0, err
}

// SetWritebackUser remembers which VOMO user a row is about, unless another row is about that user.
func (t *Tx) SetWritebackUser(ctx context.Context, id int64, vomoID string) error {
	return t.queries.WritebackSetUser(ctx, t.dbtx, &db.WritebackSetUserParams{VomoUserID: vomoID, ID: id})
}

// DecideWriteback carries out an operator's decision about a row in review: dismiss gives its values up, and any other
// decision makes the row due. decided is false if the row is no longer in review.
func (t *Tx) DecideWriteback(ctx context.Context, id int64, decision string, dismiss bool) (decided bool, err error) {
	changed, err := t.queries.WritebackDecide(ctx, t.dbtx, &db.WritebackDecideParams{Dismiss: dismiss, Decision: decision, ID: id})
	return changed > 0, err
}

// LockWritebackByID locks a row until the transaction ends; ErrNotFound if there is none.
func (t *Tx) LockWritebackByID(ctx context.Context, id int64) (state string, err error) {
	return t.queries.WritebackLock(ctx, t.dbtx, id)
}

// retryWritebacks makes the rows of these letters due again and settles the letters. It returns how many there were.
func (t *Tx) retryWritebacks(ctx context.Context, letters []uuid.UUID) (int64, error) {
	of, err := t.queries.WritebacksOfLetters(ctx, t.dbtx, letters)
	if err != nil || len(of) == 0 {
		return 0, err
	}
	if err := t.queries.WritebacksRetry(ctx, t.dbtx, of); err != nil {
		return 0, err
	}
	how := SettledRedriven
	return int64(len(of)), t.queries.LettersSettleRedriven(ctx, t.dbtx, &db.LettersSettleRedrivenParams{How: &how, Ids: of})
}

// dropWritebacks gives up the values of these letters' rows.
func (t *Tx) dropWritebacks(ctx context.Context, letters []uuid.UUID) error {
	return t.queries.WritebacksDrop(ctx, t.dbtx, letters)
}

// WritebackHold is why a customer's rows are left alone.
type WritebackHold struct {
	Reason, Detail string
	Holds          int // in a row
	Since, Until   time.Time
}

// HoldWritebacks leaves a customer's rows alone for a while.
func (t *Tx) HoldWritebacks(ctx context.Context, customer, reason, detail string, delay time.Duration) error {
	return t.queries.WritebackHold(ctx, t.dbtx, &db.WritebackHoldParams{CustomerID: customer, Reason: reason, Detail: detail, Delay: delay})
}

// ReleaseWritebacks ends a customer's hold.
func (c Conn) ReleaseWritebacks(ctx context.Context, customer string) error {
	return c.queries.WritebackRelease(ctx, c.dbtx, customer)
}

// WritebackHoldOf returns the customer's last hold, also if it is over; nil if the last work came to its end.
func (c Conn) WritebackHoldOf(ctx context.Context, customer string) (*WritebackHold, error) {
	row, err := c.queries.WritebackHoldOf(ctx, c.dbtx, customer)
	if isNotFound(err) {
		return nil, nil //nolint:nilnil // none is an answer, and no error
	}
	if err != nil {
		return nil, err
	}
	return &WritebackHold{Reason: row.Reason, Detail: row.Detail, Holds: int(row.Holds), Since: row.Since, Until: row.Until}, nil
}

// ForgetWritebacks deletes up to atMost of an offboarded customer's rows, and the hold; it returns how many rows it deleted.
func (t *Tx) ForgetWritebacks(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.WritebacksForget(ctx, t.dbtx, &db.WritebacksForgetParams{CustomerID: customer, AtMost: atMost})
}

// CountWaitingWritebacks returns how many of a customer's rows wait, and since when; nil if none does.
func (c Conn) CountWaitingWritebacks(ctx context.Context, customer string) (waiting int64, since *time.Time, err error) {
	row, err := c.queries.WritebackCounts(ctx, c.dbtx, customer)
	if isNotFound(err) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	return row.Waiting, &row.Since, nil
}

// MappedByExternal returns the VOMO ids of the users that are this record at the destination: none, one, or two if they
// share it.
func (c Conn) MappedByExternal(ctx context.Context, customer, externalID string) ([]string, error) {
	return c.queries.MappingsOfExternal(ctx, c.dbtx, &db.MappingsOfExternalParams{CustomerID: customer, ExternalUserID: externalID})
}

// ExternalIDOf returns the destination's id of a user; ErrNotFound if the destination does not have the user.
func (c Conn) ExternalIDOf(ctx context.Context, customer, vomoID string) (string, error) {
	return c.queries.MappingExternalID(ctx, c.dbtx, &db.MappingExternalIDParams{CustomerID: customer, VomoUserID: vomoID})
}
