package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
)

// RequestQuestion asks what became of an onboarding message, by its sequence in ROLLCALL_ONBOARDING.
type RequestQuestion struct {
	Sequence uint64 `json:"sequence"`
}

// Request is what became of an onboarding message.
type Request struct {
	CustomerID string              `json:"customerId"`
	State      string              `json:"state"` // pending, applied, duplicate, superseded, rejected
	Errors     map[string][]string `json:"errors"`
	Attempts   int                 `json:"attempts"`
	ReceivedAt time.Time           `json:"receivedAt"`
	SettledAt  *time.Time          `json:"settledAt"`
}

// RequestOf answers rollcall.api.requests.get; store.ErrNotFound for a message that was not seen yet.
func RequestOf(ctx context.Context, from *store.Store, origin store.Origin) (Request, error) {
	outcome, err := from.RequestOutcome(ctx, origin)
	if err != nil {
		return Request{}, err
	}
	shown := Request{
		CustomerID: outcome.Customer, State: string(outcome.State), Attempts: outcome.Attempts,
		ReceivedAt: outcome.ReceivedAt, SettledAt: outcome.SettledAt,
	}
	if outcome.Errors != nil {
		if err := json.Unmarshal(outcome.Errors, &shown.Errors); err != nil {
			return Request{}, fmt.Errorf("decode errors of a request: %w", err)
		}
	}
	return shown, nil
}

// KeyReply is the public key to which tokens are sealed.
type KeyReply struct {
	PublicKey string `json:"publicKey"`
}
