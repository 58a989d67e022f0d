package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	jobOffboard          = "offboard"           // its name in job_log
	jobPermanentOffboard = "permanent_offboard" // the same (docs/guides.md#offboarding)

	offboardBatch = 1000
	// offboardTurn is how long one customer's steps are worked before others get their turn. offboardHold is how long other replicas
	// leave a claimed offboarding alone.
	offboardTurn = 10 * time.Second
	offboardHold = time.Minute
	// lateMessages is how long after the first erasure a message that was on its way is looked for: longer than a relay waits for the
	// answer to a publish.
	lateMessages  = time.Minute
	missingEvery  = time.Minute
	offboardRetry = time.Minute // the longest pause after a failure
)

// offboarder works the steps of offboardings. Every replica runs it. Each step may be repeated: a step is stored as done in the
// transaction of its last batch, or after the streams have answered.
type offboarder struct {
	store     *store.Store
	vault     *vault.Vault
	logger    *zap.Logger
	retention time.Duration // OFFBOARD_RETENTION
	wake      chan struct{}
	batch     int32
	erase     func(ctx context.Context, customer string, atMost int) (erased int, done bool, err error) // bus.CustomerMessages.EraseInClear
	purge     func(ctx context.Context, customer string) (purged uint64, err error)                     // bus.CustomerMessages.Purge
}

func newOffboarder(s *service.Service, messages bus.CustomerMessages) *offboarder {
	return &offboarder{
		store: s.Store, vault: s.Vault, logger: s.Logger, retention: s.Config.OffboardRetention, wake: make(chan struct{}, 1),
		batch: offboardBatch, erase: messages.EraseInClear, purge: messages.Purge,
	}
}

func (o *offboarder) wakeUp() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run works offboardings until ctx ends. One that is not done by then is claimed again later.
func (o *offboarder) run(ctx context.Context) {
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	missing := time.NewTicker(missingEvery)
	defer missing.Stop()
	o.addMissing(ctx)
	for {
		for o.workNext(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-o.wake:
		case <-missing.C:
			o.addMissing(ctx)
		}
	}
}

// addMissing begins the offboardings of customers that a service of the version before switched off.
func (o *offboarder) addMissing(ctx context.Context) {
	customers, err := o.store.OffboardedWithoutSteps(ctx)
	for _, customer := range customers {
		err = errors.Join(err, o.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.LockCustomer(ctx, customer); err != nil {
				return err
			}
			current, err := tx.Customer(ctx, customer)
			if err != nil || current.OffboardedAt == nil {
				return err
			}
			if _, err := tx.LockOffboarding(ctx, customer); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			_, err = o.begin(ctx, tx, customer, store.Origin{})
			return err
		}))
	}
	if err != nil && ctx.Err() == nil {
		o.logger.Warn("search for offboarded customers failed; it will be retried", zap.Error(err))
	}
}

// workNext works the next due offboarding for a turn, if there is one.
func (o *offboarder) workNext(ctx context.Context) bool {
	claimed, err := o.store.ClaimOffboarding(ctx, offboardHold)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			o.logger.Warn("reading offboardings failed; it will be retried", zap.Error(err))
		}
		return false
	}
	turn, cancel := context.WithTimeout(ctx, offboardTurn)
	defer cancel()
	for claimed.Step != store.OffboardingPurged && turn.Err() == nil {
		next, err := o.step(ctx, claimed)
		if errors.Is(err, errOffboardingEnded) {
			return true
		}
		if err != nil {
			o.fail(ctx, claimed, err)
			return true
		}
		if next.Step != claimed.Step {
			o.logger.Info("offboarding step done", zap.String("customer", claimed.Customer), zap.String("step", string(claimed.Step)),
				zap.Int64("blanked", next.Blanked), zap.Int64("erased", next.Erased), zap.Int64("purged", next.Purged))
		}
		if waits(next.Step) && next.Step != claimed.Step {
			return true // it is due later
		}
		claimed = next
	}
	releasing, stop := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer stop()
	if err := o.store.ReleaseOffboarding(releasing, claimed.Customer); err != nil {
		o.logger.Warn("offboarding not released; its claim will expire", zap.String("customer", claimed.Customer), zap.Error(err))
	}
	return ctx.Err() == nil
}

// waits reports whether a step is due only some time after the one before it.
func waits(step store.OffboardingStep) bool {
	return step == store.OffboardingErasesLateMessages || step == store.OffboardingRetains
}

// fail puts a step off. It stays due until it succeeds.
func (o *offboarder) fail(ctx context.Context, claimed store.Offboarding, cause error) {
	if ctx.Err() != nil {
		return
	}
	pause := backoff.Delays{First: firstDelay, Longest: offboardRetry}.After(claimed.Attempts + 1)
	o.logger.Warn("offboarding step failed; it will be retried", zap.String("customer", claimed.Customer),
		zap.String("step", string(claimed.Step)), zap.Duration("after", pause), zap.Error(cause))
	if err := o.store.FailOffboarding(ctx, claimed.Customer, pause); err != nil {
		o.logger.Warn("failed offboarding step not noted; its claim will expire", zap.String("customer", claimed.Customer), zap.Error(err))
	}
}
