package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// connector opens both sides of a customer's mirror: VOMO under the customer's budget, and the lane to the
// destination. Every request of either side asks the lease first.
type connector struct {
	store         *store.Store
	vault         *vault.Vault
	logger        *zap.Logger
	vomoBaseURL   string
	vomoTransport http.RoundTripper
	timeout       time.Duration
	limits        budget.Limits
	opener        *destination.Opener
	breakers      *destination.Breakers
	concurrency   int
	operation     string                      // sync_audit's word for what is written
	jobOf         func(store.Customer) string // job_log's word, by which requests are booked, too
}

// backfillJob is the job that reads all users of this customer.
func backfillJob(customer store.Customer) string {
	if customer.BackfillCompletedAt != nil {
		return jobFullResync
	}
	return jobInitialBackfill
}

// errNoCredential says that the customer's credentials are gone: it was offboarded.
var errNoCredential = errors.New("the customer has no credentials")

// source is VOMO with the account that its requests are booked on.
type source struct {
	client  *vomo.Client
	account *budget.Account
}

func (c *connector) source(ctx context.Context, customer store.Customer, lease *store.Lease) (*source, error) {
	token, err := c.secret(ctx, customer.ID, store.CredentialVomoToken)
	if err != nil {
		return nil, err
	}
	limits := c.limits
	if customer.RequestsPerSecond != nil {
		limits.PerSecond = *customer.RequestsPerSecond
	}
	if customer.RequestsPerMinute != nil {
		limits.PerMinute = *customer.RequestsPerMinute
	}
	account, err := budget.Open(c.store, customer.ID, c.jobOf(customer), limits)
	if err != nil {
		return nil, fmt.Errorf("open budget: %w", err)
	}
	client, err := vomo.New(vomo.Config{
		BaseURL: c.vomoBaseURL, Token: token, Transport: c.vomoTransport, Timeout: c.timeout,
		Before: func(ctx context.Context) error {
			if err := account.Wait(ctx); err != nil {
				return err
			}
			return lease.Outlasts(c.timeout)
		},
		Throttled: func(ctx context.Context, after time.Duration) {
			if err := account.Throttled(ctx, after); err != nil {
				c.logger.Warn("a refusal of VOMO was not noted", zap.String("customer", customer.ID), zap.Error(err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open VOMO: %w", err)
	}
	return &source{client: client, account: account}, nil
}

func (c *connector) lane(ctx context.Context, customer store.Customer, run store.Run, lease *store.Lease) (*mirror.Lane, error) {
	var target struct {
		Kind      string `json:"kind"`
		URL       string `json:"url"`
		BatchSize int    `json:"batchSize"`
	}
	if err := json.Unmarshal(customer.Destination, &target); err != nil {
		return nil, fault.Permanent("destination_unreadable", fmt.Errorf("decode destination: %w", err))
	}
	token, err := c.secret(ctx, customer.ID, store.CredentialDestinationToken)
	if err != nil && !errors.Is(err, errNoCredential) {
		return nil, err
	}
	plain, err := c.opener.Open(destination.Config{Kind: target.Kind, URL: target.URL, Token: token, BatchSize: target.BatchSize})
	if err != nil {
		return nil, fmt.Errorf("open destination: %w", err)
	}
	hashKey, err := c.vault.HashKey(ctx, customer.ID)
	if err != nil {
		return nil, fmt.Errorf("open customer's key: %w", err)
	}
	key := destination.BreakerKey(customer.ID, target.URL)
	return &mirror.Lane{
		Store: c.store, Lease: lease, Customer: customer.ID, Job: c.jobOf(customer), JobID: run.JobID, TraceID: run.TraceID,
		Operation: c.operation, HashKey: hashKey, Concurrency: c.concurrency,
		Trips: func() uint64 { return c.breakers.Trips(key) },
		Destination: destination.NewGuard(plain, destination.GuardConfig{
			Key: key, Breakers: c.breakers,
			Before: func(context.Context) error { return lease.Outlasts(c.timeout) },
			Leave:  func() error { return lease.Outlasts(c.timeout) },
		}),
	}, nil
}

func (c *connector) secret(ctx context.Context, customer, name string) (string, error) {
	sealed, err := c.store.Credential(ctx, customer, name)
	if errors.Is(err, store.ErrNotFound) {
		return "", fmt.Errorf("%s: %w", name, errNoCredential)
	}
	if err != nil {
		return "", err
	}
	plain, err := c.vault.Open(ctx, customer, name, sealed)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	return string(plain), nil
}
