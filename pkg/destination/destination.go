// Package destination is the seam to the systems that rollcall mirrors users into.
//
// It owns the interface, the record that crosses it, the kinds of failure a destination can have, the
// circuit breaker and the retries in place. It promises that a refusal of one record is told apart from a
// failure of the whole destination. It knows neither bus nor store: who parks a job or opens a dead letter
// is the mirror's business. Each kind of destination has a folder of its own below this one.
package destination

import (
	"context"
	"time"
)

// Record is one user as a destination gets it (docs/guides.md#initial-backfill). Null in VOMO is null here: a pointer
// that is nil is sent as JSON null.
type Record struct {
	ExternalID      string       `json:"external_id"` // "vomo-" + the VOMO id
	Email           *string      `json:"email"`       // as VOMO has it, not lower-cased
	FirstName       *string      `json:"first_name"`
	LastName        *string      `json:"last_name"`
	Phone           *string      `json:"phone"`
	CustomFields    CustomFields `json:"custom_fields"`
	SourceUpdatedAt time.Time    `json:"source_updated_at"` // RFC 3339, UTC
}

// CustomFields are the three that docs/guides.md#initial-backfill names.
type CustomFields struct {
	UserStatus     *string    `json:"user_status"`
	MembershipRole *string    `json:"membership_role"`
	VomoCreatedAt  *time.Time `json:"vomo_created_at"`
}

// Result is what a destination answered for a record that it took.
type Result struct {
	ExternalUserID string // the destination's own id of the record
	Stale          bool   // the destination has a newer version and kept it: counts as done
}

// Destination takes one record at a time and may be used by many goroutines at once. Upsert's error is a
// *Refusal (this record, for good), ErrAuth (the destination refuses us), or anything else: retryable.
// Upsert is idempotent: the same record twice leaves what it left once.
type Destination interface {
	Upsert(ctx context.Context, record Record) (Result, error)
}

// Batcher is a Destination that may take several records in one request.
type Batcher interface {
	Destination

	// BatchSize is the most records that UpsertBatch may be given; below 2 it must not be used.
	BatchSize() int
	// UpsertBatch gives one result for each record, in their order. Its error is that of the request as a whole,
	// of the kinds that Upsert's may have, and then nothing is known of any record: a *Refusal says that the
	// destination takes no such request, not that it refuses the records.
	UpsertBatch(ctx context.Context, records []Record) ([]BatchResult, error)
}

// BatchResult is what became of one record of a batch. Err is nil, a *Refusal, or retryable.
type BatchResult struct {
	Result

	Err error
}
