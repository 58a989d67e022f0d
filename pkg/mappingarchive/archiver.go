package mappingarchive

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	archiveEvery   = 10 * time.Minute
	customersPage  = 100
	releaseTimeout = 5 * time.Second
)

// Archiver archives the mappings of customers that have been paused or switched off for longer than After. Any number of
// processes may run one: the customer's lane keeps them apart.
type Archiver struct {
	Store    *store.Store
	Vault    *vault.Vault
	Logger   *zap.Logger
	Holder   string
	LeaseFor time.Duration
	After    time.Duration // 0: never
}

// Run archives until ctx ends.
func (a *Archiver) Run(ctx context.Context) {
	if a.After == 0 {
		return
	}
	ticker := time.NewTicker(archiveEvery)
	defer ticker.Stop()
	for {
		if err := a.Round(ctx); err != nil && ctx.Err() == nil {
			a.Logger.Warn("mappings were not archived; it is tried again", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Round archives the mappings of all customers that are due. A customer whose mappings cannot be archived delays no other.
func (a *Archiver) Round(ctx context.Context) error {
	var errs []error
	after := ""
	for {
		customers, err := a.Store.ArchivableCustomers(ctx, a.After, after, customersPage)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, customer := range customers {
			if err := a.archive(ctx, customer); err != nil {
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
			after = customer
		}
		if len(customers) < customersPage {
			return errors.Join(errs...)
		}
	}
}

// archive archives one customer's mappings in its lane, part by part, until it has none, or is active again.
func (a *Archiver) archive(ctx context.Context, customer string) error {
	lease, err := a.Store.TakeLease(ctx, customer, a.Holder, a.LeaseFor)
	if errors.Is(err, store.ErrLaneTaken) { // a job may still end: the next round tries again
		return nil
	}
	if err != nil {
		return err
	}
	held, done := lease.Hold(ctx)
	defer func() {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		if err := done(releasing); err != nil {
			a.Logger.Warn("lane not released; its lease ends by itself", zap.String("customer", customer), zap.Error(err))
		}
	}()
	seal, err := a.Vault.Sealer(held, customer, purpose)
	if err != nil {
		return err
	}
	users := 0
	for {
		count, err := a.archivePart(held, lease, seal)
		users += count
		if err == nil && count == partSize {
			continue
		}
		if users > 0 {
			a.Logger.Info("mappings archived", zap.String("customer", customer), zap.Int("users", users))
		}
		if errors.Is(err, store.ErrNotFound) { // an operator resumed the customer: its next job restores what was archived
			return nil
		}
		return err
	}
}

// archivePart moves one part's mappings into the archive, in one transaction.
func (a *Archiver) archivePart(ctx context.Context, lease *store.Lease, seal func([]byte) ([]byte, error)) (count int, err error) {
	err = a.Store.InLane(ctx, lease, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.HoldArchivable(ctx, lease.Customer, a.After); err != nil {
			return err
		}
		ids, mappings, err := tx.MappingsToArchive(ctx, lease.Customer, partSize)
		if err != nil || len(ids) == 0 {
			return err
		}
		packed, err := pack(mappings)
		if err != nil {
			return err
		}
		sealed, err := seal(packed)
		if err != nil {
			return err
		}
		count = len(ids)
		return tx.ArchiveMappings(ctx, lease.Customer, ids, sealed)
	})
	if err != nil {
		return 0, err
	}
	return count, nil
}
