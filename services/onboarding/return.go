package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// errOffboardingUnfinished means that a request has to wait: the customer's offboarding is in a step that a return would disturb.
var errOffboardingUnfinished = errors.New("the customer's offboarding is not finished")

// returnRetry is how soon a request that waits for an offboarding is tried again.
const returnRetry = time.Second

// offboardingDone returns errOffboardingUnfinished while records are blanked, messages are erased or the mapping is purged.
func offboardingDone(ctx context.Context, conn store.Conn, customer string) error {
	offboarding, err := conn.Offboarding(ctx, customer)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case offboarding.BlocksReturn():
		return errOffboardingUnfinished
	}
	return nil
}

// awaitOffboarding puts a request off until the offboarding before it is finished.
func (s *settler) awaitOffboarding(ctx context.Context, pending store.PendingRequest, cause error) error {
	if !errors.Is(cause, errOffboardingUnfinished) {
		return cause
	}
	s.logger.Info("request waits for the customer's offboarding", zap.String("customer", pending.Customer), zap.Duration("after", returnRetry))
	return s.store.GiveBackRequest(ctx, pending.ID, returnRetry)
}

// awaitPurge has the mapping of a customer that returns with Virtuous alone purged now, and puts the request off until that is done: a
// customer without a mirror has no mapping.
func (s *settler) awaitPurge(ctx context.Context, pending store.PendingRequest) error {
	begun, err := s.store.PurgeNow(ctx, pending.Customer)
	if err != nil {
		return err
	}
	s.logger.Info("request waits for the purge of the customer's mirror", zap.String("customer", pending.Customer), zap.Bool("begun", begun))
	return s.store.GiveBackRequest(ctx, pending.ID, returnRetry)
}

// endRetention ends the offboarding of a customer that returns. Its mapping and its checkpoint stay, unless they were purged.
func endRetention(ctx context.Context, tx *store.Tx, customer string) error {
	offboarding, err := tx.LockOffboarding(ctx, customer)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return endOffboarding(ctx, tx, offboarding)
}
