package subscription

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// Differences that have no name of a field of the subscription.
const (
	Missing        = "missing"  // Virtuous has no subscription with the id
	IsUnknown      = "id"       // the answer was lost, so that the id is not known
	RotationIsOpen = "rotation" // a rotation whose end is not known
)

// Verified is what a verification found.
type Verified struct {
	Subscription *store.Subscription  // nil: there is none that is requested or active
	Differences  []string             // names of what differs at Virtuous, in order
	Orphans      []store.Subscription // that Virtuous may still have, the newest first
}

// Verify compares the customer's subscription with what Virtuous has: its URL, events, activity, and secret if Virtuous shows it. It ends
// orphans that Virtuous does not have any more. Errors: ErrNoPublicURL, ErrNoGiving, ErrPaused, and those of package virtuous.
func (s *Subscriptions) Verify(ctx context.Context, customer string) (Verified, error) {
	payloadURL, err := s.payloadURL(customer)
	if err != nil {
		return Verified{}, err
	}
	client, err := s.open(ctx, customer)
	if err != nil {
		return Verified{}, err
	}
	known, err := s.Of(ctx, customer)
	if err != nil {
		return Verified{}, err
	}
	var found Verified
	for _, one := range known {
		switch one.State {
		case store.SubscriptionRequested:
			found.Subscription, found.Differences = &one, []string{IsUnknown}
		case store.SubscriptionActive:
			found.Subscription = &one
			if found.Differences, err = s.compare(ctx, client, one, payloadURL); err != nil {
				return Verified{}, err
			}
		case store.SubscriptionOrphaned, store.SubscriptionRemoving:
			isGone, err := s.endIfGone(ctx, client, one)
			if err != nil {
				return Verified{}, err
			}
			if !isGone {
				found.Orphans = append(found.Orphans, one)
			}
		}
	}
	if found.Subscription == nil {
		return found, nil
	}
	return found, s.Store.NoteSubscriptionVerified(ctx, found.Subscription.ID, found.Differences)
}

// compare returns what differs between a subscription and what Virtuous has.
func (s *Subscriptions) compare(ctx context.Context, client Client, one store.Subscription, payloadURL string) ([]string, error) {
	wanted, err := s.one(ctx, one.Customer, payloadURL, one.VirtuousID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	hasSecret := err == nil
	has, err := client.Subscription(ctx, one.VirtuousID)
	if errors.Is(err, virtuous.ErrNotFound) {
		return []string{Missing}, nil
	}
	if err != nil {
		return nil, err
	}
	differs := []string{}
	note := func(name string, isDifferent bool) {
		if isDifferent {
			differs = append(differs, name)
		}
	}
	note("payloadUrl", has.PayloadURL != payloadURL)
	note("active", !has.IsActive)
	// Virtuous may hide the secret.
	note("secret", !hasSecret || has.Secret != "" && subtle.ConstantTimeCompare([]byte(has.Secret), []byte(wanted.Secret)) != 1)
	note(RotationIsOpen, one.RotatingSince != nil)
	events := virtuous.GivingEvents()
	for name := range has.Events {
		note(name, has.Events[name] != events[name])
	}
	for name, isOn := range events {
		if _, named := has.Events[name]; !named {
			note(name, isOn)
		}
	}
	slices.Sort(differs)
	return differs, nil
}

// endIfGone ends an orphan that Virtuous does not have any more. One whose id is not known cannot be looked for.
func (s *Subscriptions) endIfGone(ctx context.Context, client Client, one store.Subscription) (isGone bool, err error) {
	if one.VirtuousID == 0 {
		return false, nil
	}
	if _, err = client.Subscription(ctx, one.VirtuousID); !errors.Is(err, virtuous.ErrNotFound) {
		return false, err
	}
	_, err = s.Store.EndSubscription(ctx, one.ID, one.State, store.SubscriptionRemoved, "")
	return err == nil, err
}
