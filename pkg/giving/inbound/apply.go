package inbound

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// Purposes for which the canonical fields of records are sealed.
const (
	PurposeGift    = "partner_gift"
	PurposeContact = "partner_contact"
)

// Applier applies records.
type Applier struct {
	Store  *store.Store
	Vault  *vault.Vault
	Logger *zap.Logger
	// TransactionPurpose is that for which the transactions of donations are sealed.
	TransactionPurpose string
}

// Pass is what the records of one transaction share.
type Pass struct {
	Customer     string
	Job          string // "webhook", or the category of the reconciliation
	RecoveryPath string // of donations that the records confirm; "" for webhooks
	TraceID      string
	Compares     bool // the caller compares the contacts with the platform's, so that a change of one is no reason for another comparison
}

// Keys are a customer's keys. They are opened before a transaction, because the key service may be slow, and kept for one call.
type Keys struct {
	sealGift, sealContact, sealDetails     func(plain []byte) ([]byte, error)
	openGift, openContact, openTransaction func(sealed []byte) ([]byte, error)
	hash                                   []byte
}

// Keys opens the customer's keys. vault.ErrKeyGone if the customer has none.
func (a *Applier) Keys(ctx context.Context, customer string) (*Keys, error) {
	key, err := a.Vault.KeyOf(ctx, customer)
	if err != nil {
		return nil, fmt.Errorf("open the customer's key: %w", err)
	}
	sealFor := func(purpose string) func([]byte) ([]byte, error) {
		return func(plain []byte) ([]byte, error) { return key.Seal(purpose, plain) }
	}
	openFor := func(purpose string) func([]byte) ([]byte, error) {
		return func(sealed []byte) ([]byte, error) { return key.Open(purpose, sealed) }
	}
	keys := &Keys{
		sealGift: sealFor(PurposeGift), sealContact: sealFor(PurposeContact), sealDetails: sealFor(store.PurposeReviewDetails),
		openGift: openFor(PurposeGift), openContact: openFor(PurposeContact), openTransaction: openFor(a.TransactionPurpose),
	}
	if keys.hash, err = key.HashKey(); err != nil {
		return nil, err
	}
	return keys, nil
}

// ApplyAll applies records in a transaction of their own. store.ErrNotFound if the customer has no giving.
func (a *Applier) ApplyAll(ctx context.Context, pass Pass, records []Record) (outcomes []Outcome, err error) {
	keys, err := a.Keys(ctx, pass.Customer)
	if err != nil {
		return nil, err
	}
	err = a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		outcomes, err = a.Apply(ctx, tx, keys, pass, records)
		return err
	})
	return outcomes, err
}

// Apply applies records in a transaction, and returns what became of each, in their order. Records of one customer are applied by one
// transaction at a time. Errors: store.ErrNotFound if the customer has no giving; ErrUnordered.
func (a *Applier) Apply(ctx context.Context, tx *store.Tx, keys *Keys, pass Pass, records []Record) ([]Outcome, error) {
	now, err := tx.LockInbound(ctx, pass.Customer)
	if err != nil {
		return nil, fmt.Errorf("lock the customer's gifts: %w", err)
	}
	w := &work{Applier: a, Pass: pass, Keys: keys, tx: tx, now: now, outcomes: make([]Outcome, len(records))}
	// Contacts first, so that gifts find the ends of merges.
	if err := w.applyContacts(ctx, records); err != nil {
		return nil, err
	}
	if err := w.applyGifts(ctx, records); err != nil {
		return nil, err
	}
	if err := tx.Publish(ctx, w.messages...); err != nil {
		return nil, err
	}
	return w.outcomes, nil
}

// work is one call of Apply.
type work struct {
	*Applier
	Pass
	*Keys

	tx       *store.Tx
	now      time.Time
	outcomes []Outcome
	messages []store.Message
	rules    *resolution.Rules // nil: they were not read yet
	gifts    []giftState       // that change
}
