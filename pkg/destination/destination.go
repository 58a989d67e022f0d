// Package destination is the interface to the systems that rollcall mirrors users into.
//
// It defines the interface, the record that is sent, the kinds of failure that a destination can have, the circuit
// breaker and the immediate retries. The rejection of one record and a failure of the whole destination are different
// errors. The package knows neither bus nor store: the mirror decides whether to park a job or open a dead letter.
// Each kind of destination has its own folder below this one.
package destination

import (
	"context"
	"time"
)

// Record is one user in the form of a destination (docs/guides.md#initial-backfill). Null in VOMO stays null: a nil
// pointer is sent as JSON null.
type Record struct {
	ExternalID      string       `json:"external_id"` // "vomo-" + the VOMO id
	Email           *string      `json:"email"`       // unchanged from VOMO, not lower-cased
	FirstName       *string      `json:"first_name"`
	LastName        *string      `json:"last_name"`
	Phone           *string      `json:"phone"`
	CustomFields    CustomFields `json:"custom_fields"`
	SourceUpdatedAt time.Time    `json:"source_updated_at"` // RFC 3339, UTC
}

// CustomFields are the three fields that docs/guides.md#initial-backfill names.
type CustomFields struct {
	UserStatus     *string    `json:"user_status"`
	MembershipRole *string    `json:"membership_role"`
	VomoCreatedAt  *time.Time `json:"vomo_created_at"`
}

// Result is a destination's answer for a record that it accepted.
type Result struct {
	ExternalUserID string // the destination's id of the record
	Stale          bool   // the destination has a newer version and kept it: the record counts as done
}

// Destination writes one record at a time; many goroutines may use it at once. Upsert's error is a *Refusal (this
// record is permanently rejected), ErrAuth (the destination rejects the customer's credential), or any other error,
// which is retryable. Upsert is idempotent: sending the same record twice has the effect of sending it once.
type Destination interface {
	Upsert(ctx context.Context, record Record) (Result, error)
}

// Batcher is a Destination that may accept several records in one request.
type Batcher interface {
	Destination

	// BatchSize returns the maximum of records for UpsertBatch; below 2 it must not be used.
	BatchSize() int
	// UpsertBatch returns one result for each record, in order. Its error is about the request as a whole, with the
	// kinds of Upsert's error, and then nothing is known about any record: a *Refusal means that the destination does
	// not accept such a request, not that it rejects the records.
	UpsertBatch(ctx context.Context, records []Record) ([]BatchResult, error)
}

// BatchResult is the result for one record of a batch. Err is nil, a *Refusal, or retryable.
type BatchResult struct {
	Result

	Err error
}
