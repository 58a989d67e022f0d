package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mappingarchive"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// Opening opens both sides of a customer's mirror, from what was read of the customer once its lane was taken. It opens the customer's
// key once: a key service may be a network away. It is used by one goroutine.
type Opening struct {
	*Connector

	customer store.Customer
	lease    *store.Lease
	sides    store.MirrorSides
	grant    *store.ClaimedGrant
	key      *vault.CustomerKey // nil until it was opened
}

// Opening returns the opening for a job that holds the lease. grant is the one that was taken with its claim, nil if there is none.
func (c *Connector) Opening(customer store.Customer, lease *store.Lease, sides store.MirrorSides, grant *store.ClaimedGrant) *Opening {
	return &Opening{Connector: c, customer: customer, lease: lease, sides: sides, grant: grant}
}

// GrantClaim says how the first grant of the customer's budget is taken with the claim of a job's run.
func (c *Connector) GrantClaim(customer store.Customer, job string) *store.GrantClaim {
	return &store.GrantClaim{Job: job, Step: c.limitsOf(customer).Interval(), Patience: grantPatience}
}

// grantPatience is how long a grant of a claim may be away. A longer wait is the budget's, which may park the run for it.
const grantPatience = time.Second

func (c *Connector) limitsOf(customer store.Customer) budget.Limits {
	return c.Limits.With(customer.RequestsPerSecond, customer.RequestsPerMinute)
}

// Source opens VOMO. Errors: ErrNoCredential.
func (o *Opening) Source(ctx context.Context, job string) (*Source, error) {
	token, err := o.secret(ctx, store.CredentialVomoToken, o.sides.VomoToken)
	if err != nil {
		return nil, err
	}
	account, err := budget.Open(newLedger(o.Store, o.grant, o.sides.Throttled), o.customer.ID, job, o.limitsOf(o.customer))
	if err != nil {
		return nil, fmt.Errorf("open budget: %w", err)
	}
	asking := make(chan struct{}, 1) // users may be read several at once, and one asks the account for a grant at a time
	client, err := vomo.New(vomo.Config{
		BaseURL: o.VomoBaseURL, Token: token, Transport: o.VomoTransport, Timeout: o.Timeout,
		Before: func(ctx context.Context) error {
			select {
			case asking <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			err := account.Wait(ctx)
			<-asking
			if err != nil {
				return err
			}
			return o.lease.Outlasts(o.Timeout)
		},
		Expect: account.Expect,
		Throttled: func(ctx context.Context, after time.Duration) {
			if err := account.Throttled(ctx, after); err != nil {
				o.Logger.Warn("rejection by VOMO not noted", zap.String("customer", o.customer.ID), zap.Error(err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open VOMO: %w", err)
	}
	source := &Source{Client: client, Account: account, store: o.Store, customer: o.customer.ID}
	source.works.Store(o.sides.TokenWorks)
	return source, nil
}

// Lane opens the destination.
func (o *Opening) Lane(ctx context.Context, job Job) (*mirror.Lane, error) {
	to, err := targetOf(o.customer)
	if err != nil {
		return nil, err
	}
	if o.sides.Archived { // without its mapping, every user would be new
		restored, err := mappingarchive.Restore(ctx, o.Store, o.Vault, o.lease)
		if err != nil {
			return nil, err
		}
		o.Logger.Info("archived mappings restored", zap.String("customer", o.customer.ID), zap.Int("users", restored))
	}
	token, err := o.secret(ctx, store.CredentialDestinationToken, o.sides.DestinationToken)
	if err != nil && !errors.Is(err, ErrNoCredential) {
		return nil, err
	}
	plain, err := o.Opener.Open(destination.Config{Kind: to.Kind, URL: to.URL, Token: token, BatchSize: to.BatchSize})
	if err != nil {
		return nil, fmt.Errorf("open destination: %w", err)
	}
	owned, err := ownedFields(o.customer)
	if err != nil {
		return nil, err
	}
	key, err := o.openKey(ctx, o.Vault.EnsureKey)
	if err != nil {
		return nil, fmt.Errorf("open customer's key: %w", err)
	}
	hashKey, err := key.HashKey()
	if err != nil {
		return nil, err
	}
	var book *participation.Book
	if to.Participations && o.customer.Participations {
		if book, err = o.Book(ctx, o.customer.ID); err != nil {
			return nil, err
		}
	}
	breaker := destination.BreakerKey(o.customer.ID, to.URL)
	return &mirror.Lane{
		Store: o.Store, Lease: o.lease, Customer: o.customer.ID, Job: job.Name, JobID: job.ID, TraceID: job.TraceID,
		Operation: job.Operation, Events: job.Events, IncludeUser: o.IncludeUser, Owned: owned, RetryCaps: o.RetryCaps,
		HashKey: hashKey, Participations: book, Concurrency: o.Concurrency,
		NoLetters:   !o.sides.LettersOpen,
		SealAnswer:  func(plain []byte) ([]byte, error) { return key.Seal(deadletter.PurposeAnswer, plain) },
		Trips:       func() uint64 { return o.Breakers.Trips(breaker) },
		Destination: o.guard(plain, to, breaker),
	}, nil
}

// guard puts the breakers, the destination's hold and the send check before the destination.
func (o *Opening) guard(plain destination.Destination, to target, breaker string) *destination.Guard {
	// Read once: the lane has one holder, and only the holder records a hold.
	held := time.Now().Add(o.sides.Hold)
	return destination.NewGuard(plain, destination.GuardConfig{
		Key: breaker, Breakers: o.Breakers, Customer: o.customer.ID, Host: destination.HostKey(to.URL), Hosts: o.Hosts,
		Before: func(context.Context) error {
			if left := time.Until(held); left > 0 {
				return fault.Throttled("destination_throttled", left, errHeld)
			}
			return o.lease.Outlasts(o.Timeout)
		},
		SendCheck: func() error { return o.lease.Outlasts(o.Timeout) },
	})
}

func (o *Opening) secret(ctx context.Context, name string, sealed []byte) (string, error) {
	if sealed == nil {
		return "", fmt.Errorf("%s: %w", name, ErrNoCredential)
	}
	key, err := o.openKey(ctx, o.Vault.KeyOf)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	plain, err := key.Open(name, sealed)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	return string(plain), nil
}

// openKey opens the customer's key. absent is asked for it if there was none when the lane was taken.
func (o *Opening) openKey(ctx context.Context, absent func(ctx context.Context, customer string) (vault.CustomerKey, error)) (vault.CustomerKey, error) {
	if o.key != nil {
		return *o.key, nil
	}
	var key vault.CustomerKey
	var err error
	if o.sides.Key.KeyID == "" {
		key, err = absent(ctx, o.customer.ID)
	} else {
		key, err = o.Vault.KeyFrom(ctx, o.customer.ID, o.sides.Key)
	}
	if err != nil {
		return vault.CustomerKey{}, err
	}
	o.key = &key
	return key, nil
}
