package operatorapi

import (
	"time"
)

// RequestQuestion asks for the result of an onboarding message, by its sequence in ROLLCALL_ONBOARDING.
type RequestQuestion struct {
	Sequence uint64 `json:"sequence"`
}

// Request is the result of an onboarding message.
type Request struct {
	CustomerID string              `json:"customerId"`
	State      string              `json:"state"` // pending, applied, duplicate, superseded, rejected
	Errors     map[string][]string `json:"errors"`
	Attempts   int                 `json:"attempts"`
	ReceivedAt time.Time           `json:"receivedAt"`
	SettledAt  *time.Time          `json:"settledAt"`
}

// KeyReply has the public key to which operators seal tokens.
type KeyReply struct {
	PublicKey string `json:"publicKey"`
}
