package letterapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// errDrainLost means that the drain was aborted or deleted, or that another process works it: nothing more is changed for it here.
var errDrainLost = errors.New("the drain has ended, or another process works it")

// maxAttempts is how often a drain tries a message that cannot be published, such as while NATS is away, before it leaves the letter.
const maxAttempts = 10

// ledger notes what one batch of a drain does, in the transactions that change the letters. A nil ledger notes nothing.
type ledger struct {
	claim    store.DrainClaim
	attempts map[uuid.UUID]int // failed ones of messages, over all batches of this process
}

// hold locks the drain until the transaction ends, so that an abort waits for it. It is the first lock of a transaction on record letters,
// which never waits for a letter; a transaction on a message has locked its letter before.
func (l *ledger) hold(ctx context.Context, tx *store.Tx) error {
	if l == nil {
		return nil
	}
	err := tx.HoldDrain(ctx, l.claim)
	if errors.Is(err, store.ErrNotFound) {
		return errDrainLost
	}
	return err
}

// add notes that letters are done in this transaction, which holds the drain.
func (l *ledger) add(ctx context.Context, tx *store.Tx, letters ...store.ListedLetter) error {
	if l == nil {
		return nil
	}
	items := make([]store.NewDrainItem, 0, len(letters))
	for _, letter := range letters {
		items = append(items, store.NewDrainItem{LetterID: letter.ID, Customer: letter.Customer})
	}
	return tx.AddDrainItems(ctx, l.claim.ID, items)
}

// leave notes which letters the batch has left as they were.
func (l *ledger) leave(ctx context.Context, tx *store.Tx, left []operatorapi.LetterLeft) error {
	items := make([]store.NewDrainItem, 0, len(left))
	for _, one := range left {
		id, err := uuid.Parse(one.ID)
		if err != nil {
			return fmt.Errorf("parse letter's id: %w", err)
		}
		item := store.NewDrainItem{LetterID: id, Customer: one.CustomerID, Reason: one.Reason, Detail: one.Text}
		if item.Detail == "" {
			item.Detail = one.Code
		}
		items = append(items, item)
	}
	return tx.AddDrainItems(ctx, l.claim.ID, items)
}

// mayTryAgain reports whether the batch ends at a message that was not published, and is worked again later. It is for faults of NATS and
// Postgres: if the letter is the cause, it is left.
func (l *ledger) mayTryAgain(letter uuid.UUID, err error) bool {
	if l == nil {
		return false
	}
	if errors.Is(err, errDrainLost) {
		return true
	}
	if _, isConflict := errors.AsType[*service.ConflictError](err); isConflict || errors.Is(err, store.ErrNotFound) {
		return false
	}
	l.attempts[letter]++
	if l.attempts[letter] < maxAttempts {
		return true
	}
	delete(l.attempts, letter)
	return false
}
