package giving

import (
	"context"
	"errors"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/hold"
	"rollcall.dev/pkg/virtuous"
)

// unclearInARow is after how many answers in a row that say nothing of a donation Virtuous counts as unavailable.
const unclearInARow = 3

// unknown decides about an answer that is neither a gift nor a 404. It changes no donation. nil: the pass goes on with the next one.
func (p *pass) unknown(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, virtuous.ErrUnknownAnswer), errors.Is(err, virtuous.ErrRejected), errors.Is(err, virtuous.ErrRedirect):
	case errors.Is(err, virtuous.ErrUnavailable) && !errors.Is(err, virtuous.ErrOpen) && ctx.Err() == nil:
		if _, named := fault.After(err); named {
			return err
		}
		if p.unclear++; p.unclear >= unclearInARow {
			return err
		}
	default:
		return err
	}
	p.Worked++
	p.Failed++
	return nil
}

// holdFor returns what a fault that concerns the customer, and not one record alone, means for the round.
func (p *pass) holdFor(ctx context.Context, err error) error {
	if errors.Is(err, virtuous.ErrUnauthorized) && p.client != nil {
		err = hold.ConfirmRejection(ctx, p.client, p.Sleep, err)
	}
	return hold.For(err, p.Holds)
}
