package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// Jobs in job_log and in letters; requests are counted under jobSubmit.
const (
	jobCapture = "donation_capture"
	jobSubmit  = "donation_submit"
)

const (
	// inFlight is how many requests of one customer are under way at once.
	inFlight = 4
	// perRound bounds how long a customer keeps the lane and a slot.
	perRound = 60
)

// submitter sends the transactions of pending donations and contacts.
type submitter struct {
	store    *store.Store
	vault    *vault.Vault
	virtuous *connector.Virtuous
	inbound  *inbound.Applier
	metrics  *metrics
	projects *projects
	together int                                              // transactions that one request sends at most
	sleep    func(ctx context.Context, d time.Duration) error // between two tries of a rejected key
	reached  func(at step) error                              // is called between two effects, so that a test can end there; or nil
}

// kind returns the rounds in which transactions are sent. A hold is in the table, so that it outlives the process.
func (s *submitter) kind() round.Kind {
	return round.Kind{
		Job: jobSubmit, Lane: store.LaneGiving, Look: s.look, Work: s.work, StoreHold: hold.Store, DeleteHold: s.deleteHold, LookSkipsHeld: true,
		Ended: func(_ string, end round.End) { s.metrics.held(end.Reason) },
	}
}

func (s *submitter) look(ctx context.Context) ([]round.Customer, error) {
	found, err := s.store.DonationCustomers(ctx)
	customers := make([]round.Customer, 0, len(found))
	for _, one := range found {
		customers = append(customers, round.Customer{ID: one.ID, RenewedAt: one.RenewedAt})
	}
	return customers, err
}

// deleteHold ends the hold after a round that came to its end, for which the customer's key was opened.
func (s *submitter) deleteHold(ctx context.Context, customer string) error {
	err := s.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseGiving(ctx, customer) })
	return errors.Join(err, job.ClearKeeperAlert(ctx, s.store))
}

// clearAlerts clears the alerts about the customer's key, after Virtuous accepted a transaction.
func (b *batch) clearAlerts(ctx context.Context) error {
	alerts, err := b.store.ActiveAlerts(ctx, b.Customer.ID)
	if err != nil {
		return err
	}
	return b.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return hold.ClearAlerts(ctx, tx, b.Customer.ID, alerts, "Virtuous accepts donations again.")
	})
}

// batch is what one round sends.
type batch struct {
	*round.Round
	*submitter

	client *virtuous.Client
	key    vault.CustomerKey

	checking sync.Mutex // of the projects
	ending   sync.Mutex // of MustEnd

	mu       sync.Mutex // of what follows, and of the round's counts
	failed   error      // what ends the round
	accepted bool       // Virtuous accepted a transaction
	more     bool       // transactions are due again at once
}

// work sends up to perRound transactions of the customer, up to inFlight at once.
func (s *submitter) work(ctx context.Context, of *round.Round) (more bool, err error) {
	config, err := s.store.VirtuousConfig(ctx, of.Customer.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !config.Enabled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	atMost := max(perRound, inFlight*s.together)
	due, err := s.due(ctx, of.Customer.ID, atMost)
	if err != nil || len(due) == 0 {
		return false, err
	}
	b := &batch{Round: of, submitter: s}
	if err := b.begin(ctx, config); err != nil {
		return false, hold.For(err, b.Holds)
	}
	wanted, watched := b.watchLane(ctx)
	defer watched()
	sending := errgroup.Group{}
	sending.SetLimit(inFlight)
	// The first is sent in any case, so that each round sends something. The others give way: they are due in the next round.
	givingWay := connector.GiveWay(ctx, wanted)
	for i, unit := range b.unitsOf(due) {
		if b.hasFailed() || i > 0 && connector.GivesWay(givingWay) != nil {
			break
		}
		sending.Go(func() error {
			if i == 0 {
				b.note(b.sendUnit(ctx, unit))
			} else {
				b.note(b.sendUnit(givingWay, unit))
			}
			return nil
		})
	}
	if err := sending.Wait(); err != nil {
		return false, err
	}
	if b.accepted {
		if err := b.clearAlerts(ctx); err != nil {
			return false, errors.Join(b.failed, err)
		}
	}
	b.Log.Info("transactions worked", zap.Int("transactions", b.Worked), zap.Int("failed", b.Failed), zap.String("trace", b.TraceID))
	return b.more || len(due) == atMost, b.failed
}

// watchLane returns a context that ends when the round must end. watched waits until the lane is not looked at any more.
func (b *batch) watchLane(ctx context.Context) (wanted context.Context, watched func()) {
	wanted, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		for !b.MustEnd(ctx) {
			select {
			case <-wanted.Done():
				return
			case <-look.C:
			}
		}
		end()
	})
	return wanted, func() { end(); watching.Wait() }
}

// lookEvery is how often it is looked whether another job wants the lane.
const lookEvery = time.Second

// MustEnd is that of the round, for several goroutines.
func (b *batch) MustEnd(ctx context.Context) bool {
	b.ending.Lock()
	defer b.ending.Unlock()
	return b.Round.MustEnd(ctx)
}

// begin opens Virtuous and the customer's key.
func (b *batch) begin(ctx context.Context, config store.VirtuousConfig) error {
	before, err := b.store.GivingHoldOf(ctx, b.Customer.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	b.Holds = before.Holds
	if err := b.StartJob(ctx); err != nil {
		return err
	}
	if b.client, err = b.virtuous.Open(ctx, config, b.Lease, jobSubmit); err != nil {
		return err
	}
	key, err := b.vault.KeyOf(ctx, b.Customer.ID)
	if err != nil {
		return fmt.Errorf("open customer's key: %w", err)
	}
	b.key = key
	return nil
}

// note keeps the first error that ends the round. The requests that are under way come to their end.
func (b *batch) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && b.failed == nil {
		b.failed = err
	}
}

// noteAccepted notes that Virtuous accepted a transaction: a mere read says nothing about what the key may submit.
func (b *batch) noteAccepted() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted = true
}

// noteMore notes that transactions are due again at once.
func (b *batch) noteMore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.more = true
}

func (b *batch) hasFailed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed != nil
}

// count counts an attempt.
func (b *batch) count(kind store.TransactionKind, outcome string, failed bool) {
	b.countWorked(failed)
	b.metrics.attempted(kind, outcome)
}

func (b *batch) countWorked(failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Worked++
	if failed {
		b.Failed++
	}
}
