package intake

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Outcomes of messages that Customers deals with.
const (
	OutcomeLetter    = "letter"
	OutcomeDiscarded = "discarded"
)

// Customers deals with the messages of onboarded customers, and with those of others.
type Customers struct {
	Store   *store.Store
	Letters *messageletter.Opener
	Logger  *zap.Logger
	Count   func(outcome string)
}

// Of returns the customer of a message; ok is false if the message is dealt with: it became a letter, or was discarded.
func (c *Customers) Of(ctx context.Context, message Message) (customer string, ok bool, err error) {
	if customer, ok, err = c.NamedBy(ctx, message); err != nil || !ok {
		return customer, ok, err
	}
	if ok, err = isOnboarded(ctx, c.Store.Conn, customer); err == nil && !ok {
		c.Discard(customer, message)
	}
	return customer, ok, err
}

// NamedBy does what Of does, but does not ask whether the customer is onboarded.
func (c *Customers) NamedBy(ctx context.Context, message Message) (customer string, ok bool, err error) {
	customer = bus.CustomerOf(message.Subject)
	switch {
	case !rollcallv1.ValidCustomerID(customer):
		return "", false, c.GiveUp(ctx, message, "customer_unreadable", errors.New("the subject contains no valid customer id"))
	case message.TooMany:
		return "", false, c.GiveUp(ctx, message, "too_many_deliveries", errors.New("too many attempts ended with a crash or a panic"))
	}
	return customer, true, nil
}

// GiveUp makes a letter of a message that cannot be handled. The message is sealed in it.
func (c *Customers) GiveUp(ctx context.Context, message Message, code string, why error) error {
	c.Logger.Warn("message became a letter", zap.String("code", code), zap.Uint64("sequence", message.Sequence))
	c.Count(OutcomeLetter)
	return c.Letters.OpenMessage(ctx, message.Delivery, fault.Permanent(code, why))
}

// Commit stores the outcome of a message in a transaction that locks the customer, because an offboarding destroys the key with which the
// outcome is sealed. done is false if the customer was offboarded: then the message is discarded.
func (c *Customers) Commit(
	ctx context.Context, customer string, message Message, commit func(ctx context.Context, tx *store.Tx) error,
) (done bool, err error) {
	err = c.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockCustomer(ctx, customer); err != nil {
			return err
		}
		if done, err = isOnboarded(ctx, tx.Conn, customer); err != nil || !done {
			return err
		}
		return commit(ctx, tx)
	})
	if err != nil {
		return false, err
	}
	if !done {
		c.Discard(customer, message)
	}
	return done, nil
}

// Discard notes a message of a customer who is not onboarded. It is erased, and nothing of it is kept: there is no key of the
// customer's to seal it with.
func (c *Customers) Discard(customer string, message Message) {
	c.Logger.Warn("message discarded: the customer is not onboarded", zap.String("customer", customer), zap.String("stream", message.Stream),
		zap.Uint64("sequence", message.Sequence))
	c.Count(OutcomeDiscarded)
}

func isOnboarded(ctx context.Context, from store.Conn, customer string) (bool, error) {
	found, err := from.Customer(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && found.OffboardedAt == nil, err
}
