// Package connector opens both sides of a customer's mirror: VOMO under the customer's budget, and the lane to the
// destination.
//
// It provides what every job needs before it can work: credentials, limits, breakers, connections. Each request of
// either side checks the lease first, so that no request can outlast it, and all jobs of a process share one breaker
// per destination. It does not read, write or decide anything.
package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// Connector holds what the jobs of one process share.
type Connector struct {
	Store         *store.Store
	Vault         *vault.Vault
	Logger        *zap.Logger
	VomoBaseURL   string
	VomoTransport http.RoundTripper
	Timeout       time.Duration // of one request of either side; under half of the lease
	Limits        budget.Limits // the installation's
	Opener        *destination.Opener
	Breakers      *destination.Breakers
	Hosts         *destination.Hosts
	Concurrency   int // concurrent writes to one customer's destination
	IncludeUser   bool
	RetryCaps     store.RetryCaps
}

// Job is the job for which both sides are opened.
type Job struct {
	Name      string // the name in job_log, under which requests are counted too
	ID        int64  // the row in job_log
	TraceID   string
	Operation string // the operation in sync_audit; "": create or update, by the mapping
	Events    bool   // publish user.created and user.updated
}

// ErrNoCredential means that the customer's credentials are deleted: the customer was offboarded.
var ErrNoCredential = errors.New("the customer has no credentials")

var errHeld = errors.New("the destination asked to be left alone until later")

// Source is VOMO with the budget account for its requests.
type Source struct {
	Client  *vomo.Client
	Account *budget.Account

	store    *store.Store
	customer string
	works    atomic.Bool // it is recorded that VOMO accepts the token
}

// Answered is called for each answer of VOMO that rejects neither the pace nor the token.
func (s *Source) Answered(ctx context.Context) error {
	if err := s.Account.Answered(ctx); err != nil {
		return err
	}
	if s.works.Load() {
		return nil
	}
	if err := s.store.TokenWorked(ctx, s.customer); err != nil {
		return err
	}
	s.works.Store(true)
	return nil
}

// Source opens VOMO for a job that holds the lease. Errors: ErrNoCredential.
func (c *Connector) Source(ctx context.Context, customer store.Customer, lease *store.Lease, job string) (*Source, error) {
	sides, err := c.Store.MirrorSides(ctx, customer.ID)
	if err != nil {
		return nil, err
	}
	return c.Opening(customer, lease, sides, nil).Source(ctx, job)
}

// Lane opens the destination for a job that holds the lease.
func (c *Connector) Lane(ctx context.Context, customer store.Customer, lease *store.Lease, job Job) (*mirror.Lane, error) {
	sides, err := c.Store.MirrorSides(ctx, customer.ID)
	if err != nil {
		return nil, err
	}
	return c.Opening(customer, lease, sides, nil).Lane(ctx, job)
}

// target is where a customer's users are written, by its settings.
type target struct {
	Kind      string `json:"kind"`
	URL       string `json:"url"`
	BatchSize int    `json:"batchSize"`

	Participations bool `json:"participations"` // it has fields for them
}

func targetOf(customer store.Customer) (target, error) {
	var to target
	if err := json.Unmarshal(customer.Destination, &to); err != nil {
		return target{}, fault.Permanent("destination_unreadable", fmt.Errorf("decode destination: %w", err))
	}
	return to, nil
}

// HostSilent returns for how long no request may be sent to the customer's destination because its host answers no
// customer; 0 if requests may be sent, or if that is not known.
func (c *Connector) HostSilent(customer store.Customer) time.Duration {
	to, err := targetOf(customer)
	if err != nil || c.Hosts == nil {
		return 0
	}
	return c.Hosts.Silent(destination.HostKey(to.URL))
}

// Book opens what is kept of the participations of a customer's users.
func (c *Connector) Book(ctx context.Context, customer string) (*participation.Book, error) {
	hashKey, err := c.Vault.HashKey(ctx, customer)
	if err != nil {
		return nil, fmt.Errorf("open customer's key: %w", err)
	}
	seal, err := c.Vault.Sealer(ctx, customer, participation.Purpose)
	if err != nil {
		return nil, fmt.Errorf("open customer's key: %w", err)
	}
	open, err := c.Vault.Opener(ctx, customer, participation.Purpose)
	if err != nil {
		return nil, fmt.Errorf("open customer's key: %w", err)
	}
	return &participation.Book{HashKey: hashKey, Seal: seal, Open: open}, nil
}
