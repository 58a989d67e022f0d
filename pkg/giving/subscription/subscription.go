package subscription

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// Errors of the package, besides those of the store and of package virtuous. ErrNoGiving, ErrPaused, ErrExists, ErrUnderWay, ErrNone and
// ErrNoPublicURL mean that nothing was sent.
var (
	ErrNoPublicURL = errors.New("WEBHOOK_PUBLIC_URL is not set")
	ErrNoGiving    = errors.New("the customer has no giving that works")
	ErrPaused      = errors.New("the customer is paused")
	ErrExists      = errors.New("the customer has a webhook subscription")
	ErrUnderWay    = errors.New("a webhook subscription of the customer is being requested")
	ErrNone        = errors.New("the customer has no webhook subscription")
	// ErrAnswerLost means that Virtuous may have created a subscription whose id is not known.
	ErrAnswerLost = errors.New("Virtuous may have created a webhook subscription, but its answer was lost")
)

// Client is the part of Virtuous that has subscriptions; *virtuous.Client is one.
type Client interface {
	CreateSubscription(ctx context.Context, s virtuous.Subscription) (virtuous.Subscription, error)
	UpdateSubscription(ctx context.Context, s virtuous.Subscription) error
	Subscription(ctx context.Context, id int64) (virtuous.Subscription, error)
	DeleteSubscription(ctx context.Context, id int64) error
}

// Subscriptions has the subscriptions of customers.
type Subscriptions struct {
	Store  *store.Store
	Vault  *vault.Vault
	Logger *zap.Logger
	// Open opens Virtuous for a customer.
	Open func(ctx context.Context, config store.VirtuousConfig) (Client, error)
	// PublicURL is where Virtuous reaches the service webhooks, without a path of a customer; "" if that is not known.
	PublicURL string
}

// mostKept is how many subscriptions of a customer are looked at. A customer has one, and those that it had before.
const mostKept = 100

// payloadURL returns where deliveries to a customer go.
func (s *Subscriptions) payloadURL(customer string) (string, error) {
	if s.PublicURL == "" {
		return "", ErrNoPublicURL
	}
	return strings.TrimSuffix(s.PublicURL, "/") + "/webhooks/virtuous/" + url.PathEscape(customer), nil
}

// toggles returns the names of the events that are sent, in order.
func toggles() []string {
	var names []string
	for name, isOn := range virtuous.GivingEvents() {
		if isOn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Of returns the customer's subscriptions, the newest first. One that was requested and never answered is an orphan.
func (s *Subscriptions) Of(ctx context.Context, customer string) ([]store.Subscription, error) {
	if _, err := s.Store.LoseOldSubscriptions(ctx, customer); err != nil {
		return nil, err
	}
	return s.Store.Subscriptions(ctx, customer, mostKept)
}

// open opens Virtuous for a customer whose giving works. A paused customer sends nothing.
func (s *Subscriptions) open(ctx context.Context, customer string) (Client, error) {
	known, err := s.Store.Customer(ctx, customer)
	if err != nil {
		return nil, err
	}
	config, err := s.Store.VirtuousConfig(ctx, customer)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrNoGiving
	case err != nil:
		return nil, err
	case known.OffboardedAt != nil || !config.Enabled:
		return nil, ErrNoGiving
	case known.PausedAt != nil:
		return nil, ErrPaused
	}
	client, err := s.Open(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open Virtuous: %w", err)
	}
	return client, nil
}

// one returns what the customer's subscription shall be at Virtuous, with the customer's present secret.
func (s *Subscriptions) one(ctx context.Context, customer, payloadURL string, id int64) (virtuous.Subscription, error) {
	secret, err := s.secret(ctx, s.Store.Conn, customer)
	if err != nil {
		return virtuous.Subscription{}, err
	}
	return virtuous.Subscription{ID: id, PayloadURL: payloadURL, Secret: secret, IsActive: true, Events: virtuous.GivingEvents()}, nil
}
