package inbox

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

const (
	lookEvery = time.Second
	// claimFor is longer than a part takes, unless its records have to wait for the budget of requests.
	claimFor = 2 * time.Minute
	// partsAtOnce bounds how many parts are claimed together.
	partsAtOnce = 8
	forgetEvery = 10 * time.Minute
	forgetBatch = 1000
	// longestPause is between attempts at a part whose records cannot be read.
	shortestPause = 5 * time.Second
	longestPause  = time.Hour
	// maxTries is after how many attempts a part, or a record, that cannot be applied becomes a letter: some ten minutes. Faults of Virtuous,
	// of the key service and of Postgres have no such end.
	maxTries = 8
	// indexing is how long Virtuous may not find a record that it has just delivered.
	indexing = 10 * time.Minute
)

// Reader reads records from Virtuous; *virtuous.Client is one.
type Reader interface {
	Gift(ctx context.Context, id int64) (virtuous.Gift, error)
	Contact(ctx context.Context, id int64) (virtuous.Contact, error)
}

// Runner applies the parts in the inbox.
type Runner struct {
	Store   *store.Store
	Vault   *vault.Vault
	Logger  *zap.Logger
	Applier *inbound.Applier
	// Open returns a reader for a customer.
	Open  func(ctx context.Context, customer string) (Reader, error)
	Slots int           // customers whose parts are applied at once
	Age   time.Duration // how long applied parts are kept

	once  sync.Once
	awake chan struct{}
}

func (r *Runner) waker() chan struct{} {
	r.once.Do(func() { r.awake = make(chan struct{}, 1) })
	return r.awake
}

// Wake has Run look for parts at once.
func (r *Runner) Wake() {
	select {
	case r.waker() <- struct{}{}:
	default: // it is awake
	}
}

// Run applies parts until ctx ends, and deletes old ones.
func (r *Runner) Run(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		r.logged(ctx, "parts in the inbox not applied", r.Round(ctx))
		select {
		case <-ctx.Done():
			return
		case <-forget.C:
			_, err := r.Store.ForgetInboxParts(ctx, r.Age, forgetBatch)
			r.logged(ctx, "old parts in the inbox not deleted", err)
		case <-r.waker():
		case <-look.C:
		}
	}
}

func (r *Runner) logged(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.Logger.Warn(what, zap.Error(err))
	}
}

// Round applies what is due of all customers once, and returns when nothing more is due.
func (r *Runner) Round(ctx context.Context) error {
	customers, err := r.Store.InboxCustomers(ctx)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, max(r.Slots, 1))
	var running sync.WaitGroup
	for _, customer := range customers {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			r.logged(ctx, "parts of a customer not applied", r.workAll(ctx, customer))
		})
	}
	running.Wait()
	return nil
}

// workAll works a customer's parts that are due.
func (r *Runner) workAll(ctx context.Context, customer string) error {
	for ctx.Err() == nil {
		parts, err := r.Store.ClaimInboxParts(ctx, customer, claimFor, partsAtOnce)
		if err != nil || len(parts) == 0 {
			return err
		}
		for _, part := range parts {
			if err := r.work(ctx, customer, part); err != nil {
				return err
			}
		}
	}
	return nil
}
