package connector

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const confirmAfter = 2 * time.Second

// Confirm asks VOMO a second time before a token that worked is treated as rejected: one wrong answer must not stop a
// customer (docs/decisions/0022-a-refused-token-switches-off.md). It returns any other outcome unchanged.
func (c *Connector) Confirm(ctx context.Context, customer store.Customer, lease *store.Lease, job string, outcome error) error {
	if !errors.Is(outcome, vomo.ErrUnauthorized) && !errors.Is(outcome, vomo.ErrForbidden) {
		return outcome
	}
	if err := backoff.Sleep(ctx, confirmAfter); err != nil {
		return err
	}
	// Use the current token: a new one may have been set since this run started, and the old one revoked for it.
	source, err := c.Source(ctx, customer, lease, job)
	if err != nil {
		return err
	}
	_, err = source.Client.Probe(ctx)
	switch {
	case err == nil:
		return fault.Unknown("vomo_auth_unconfirmed", errors.New("VOMO rejected the token once and accepted it two seconds later"))
	case errors.Is(err, vomo.ErrUnauthorized) && !errors.Is(outcome, vomo.ErrUnauthorized):
		// A token that may not read is not invalid, and this was the first answer that says so: the next attempt asks
		// twice.
		return fault.Unknown("vomo_auth_unconfirmed", errors.New("VOMO rejected the token in two ways within two seconds"))
	}
	return err
}
