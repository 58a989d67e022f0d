package connector

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// Virtuous opens Virtuous for customers, each under its budget. It holds what the jobs of one process share.
type Virtuous struct {
	Store     *store.Store
	Vault     *vault.Vault
	Logger    *zap.Logger
	BaseURL   string
	Transport http.RoundTripper
	Timeout   time.Duration       // of one request; under half of the lease
	Hourly    budget.Hourly       // the installation's
	Customers *virtuous.Customers // nil: the clients of a customer share nothing
	// Sleep waits between two attempts at a read; nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Open opens Virtuous for a job that holds the lease of the customer's giving; nil: the job needs none. An access token that ends soon is
// replaced first. Errors: ErrNoCredential.
func (v *Virtuous) Open(ctx context.Context, config store.VirtuousConfig, lease *store.Lease, job string) (*virtuous.Client, error) {
	zone, err := time.LoadLocation(config.TimeZone)
	if err != nil {
		zone = time.UTC // the onboarding did not know the zone either; queries by day overlap by a day
	}
	return v.open(ctx, virtuous.Config{Zone: zone}, config.Customer, lease, job, true)
}

// OpenToTest opens Virtuous to test the key of a customer whose giving is switched off for it. Its answers are not noted.
func (v *Virtuous) OpenToTest(ctx context.Context, customer, job string) (*virtuous.Client, error) {
	return v.open(ctx, virtuous.Config{}, customer, nil, job, false)
}

func (v *Virtuous) open(ctx context.Context, config virtuous.Config, customer string, lease *store.Lease, job string, known bool) (*virtuous.Client, error) {
	with, err := v.access(ctx, customer, job)
	if err != nil {
		return nil, err
	}
	config.Key = with.key
	if with.found.IsOAuth {
		config.Renew = with.renew
	}
	return v.client(config, customer, with.account, lease, known)
}

// access returns what the customer's requests are sent with now.
func (v *Virtuous) access(ctx context.Context, customer, job string) (*access, error) {
	account, err := v.account(customer, job)
	if err != nil {
		return nil, err
	}
	with := &access{virtuous: v, customer: customer, account: account}
	if err := with.load(ctx); err != nil {
		return nil, err
	}
	return with, with.renewIfDue(ctx)
}

// OpenWithKey opens Virtuous with a key that is not the customer's yet.
func (v *Virtuous) OpenWithKey(customer, key, job string) (*virtuous.Client, error) {
	account, err := v.account(customer, job)
	if err != nil {
		return nil, err
	}
	return v.client(virtuous.Config{Key: key}, customer, account, nil, false)
}

func (v *Virtuous) account(customer, job string) (*budget.HourlyAccount, error) {
	account, err := budget.OpenHourly(v.Store.VirtuousBudgets(), customer, job, v.Hourly, nil)
	if err != nil {
		return nil, fmt.Errorf("open budget: %w", err)
	}
	return account, nil
}

func (v *Virtuous) client(config virtuous.Config, customer string, account *budget.HourlyAccount, lease *store.Lease, known bool) (*virtuous.Client, error) {
	config.BaseURL, config.Transport, config.Timeout, config.Sleep = v.BaseURL, v.Transport, v.Timeout, v.Sleep
	config.QueryTimeout = v.Timeout // a page, too, must end before the lease does
	if v.Customers != nil && known {
		config.Customer = v.Customers.Of(customer)
	}
	config.Before = func(ctx context.Context, use virtuous.Use) error {
		purpose := budget.ForReads
		if use == virtuous.UseSubmit {
			purpose = budget.ForSubmissions
		}
		err := waiting(ctx, func(ctx context.Context) error { return account.Wait(ctx, purpose) })
		if err != nil || lease == nil {
			return err
		}
		return lease.Outlasts(v.Timeout)
	}
	note := answerNote{virtuous: v, account: account, customer: customer, known: known}
	config.Answered = note.answered
	client, err := virtuous.New(config)
	if err != nil {
		return nil, fmt.Errorf("open Virtuous: %w", err)
	}
	return client, nil
}

// answerNote notes what each answer says of the budget and of the key.
type answerNote struct {
	virtuous *Virtuous
	account  *budget.HourlyAccount
	customer string
	known    bool        // the key is the customer's
	works    atomic.Bool // it is recorded that Virtuous accepts the key
}

// answered records an answer. A failure is logged: the answer itself counts.
func (n *answerNote) answered(ctx context.Context, answer virtuous.Answer) {
	log := n.virtuous.Logger.With(zap.String("customer", n.customer), zap.String("request_id", answer.RequestID), zap.Int("status", answer.Status))
	log.Debug("Virtuous answered", zap.Duration("took", answer.Took))
	if err := n.note(ctx, answer); err != nil {
		log.Warn("answer of Virtuous not noted", zap.Error(err))
	}
}

func (n *answerNote) note(ctx context.Context, answer virtuous.Answer) error {
	quota := budget.Quota{Limit: answer.Quota.Limit, Remaining: answer.Quota.Remaining}
	if answer.Quota.ResetAfter > 0 {
		quota.ResetAt = time.Now().Add(answer.Quota.ResetAfter)
	}
	if err := n.account.Answered(ctx, quota); err != nil {
		return err
	}
	if answer.Status == http.StatusTooManyRequests {
		return n.account.Throttled(ctx, answer.After)
	}
	if err := n.account.NotThrottled(ctx); err != nil {
		return err
	}
	if accepted := answer.Status >= 200 && answer.Status <= 299; !n.known || !accepted || n.works.Load() {
		return nil
	}
	if err := n.virtuous.Store.KeyWorked(ctx, n.customer); err != nil {
		return err
	}
	n.works.Store(true)
	return nil
}
