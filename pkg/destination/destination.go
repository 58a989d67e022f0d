// Package destination is the interface to the systems that rollcall mirrors users into.
//
// It defines the interface, the record that is sent, the kinds of failure that a destination can have, the circuit
// breaker and the immediate retries. The rejection of one record and a failure of the whole destination are different
// errors. The package knows neither bus nor store: the mirror decides whether to park a job or open a dead letter.
// Each kind of destination has its own folder below this one.
package destination

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/pkg/fault"
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

	// Without names the fields that the destination's system owns ("first_name", "last_name", "phone"). They are not sent,
	// and the destination keeps its values. The values here are VOMO's.
	Without []string `json:"-"`
}

// CustomFields are the three fields that docs/guides.md#initial-backfill names, and those about participations for a destination
// that has them.
type CustomFields struct {
	UserStatus     *string    `json:"user_status"`
	MembershipRole *string    `json:"membership_role"`
	VomoCreatedAt  *time.Time `json:"vomo_created_at"`

	*Participations // nil: these fields are not sent
}

// Participations are the fields about a user's participations.
type Participations struct {
	Count  int        `json:"participations_count"`
	Hours  float64    `json:"hours_total"`           // with two decimals
	LastAt *time.Time `json:"last_participation_at"` // UTC; nil if no participation has a time
}

// Result is a destination's answer for a record that it accepted.
type Result struct {
	ExternalUserID string // the destination's id of the record
	Stale          bool   // the destination has a newer version and kept it: the record counts as done
}

// Destination writes or deletes one record at a time; many goroutines may use it at once. The error of either method is a
// *Rejection (this record is permanently rejected), ErrAuth (the destination rejects the customer's credential), or any
// other error, which is retryable. Both are idempotent: doing the same twice has the effect of doing it once. Package
// destinationtest checks this contract.
type Destination interface {
	// Upsert writes a record. A record that was deleted is there again afterwards.
	Upsert(ctx context.Context, record Record) (Result, error)
	// Delete marks a record deleted, by the destination's own id of it. A record that is not there counts as deleted.
	Delete(ctx context.Context, externalUserID string) error
}

// Batcher is a Destination that may accept several records in one request.
type Batcher interface {
	Destination

	// BatchSize returns the maximum of records for UpsertBatch; below 2 it must not be used.
	BatchSize() int
	// UpsertBatch returns one result for each record, in order. Its error is about the request as a whole, with the
	// kinds of Upsert's error, and then nothing is known about any record: a *Rejection means that the destination does
	// not accept such a request, not that it rejects the records.
	UpsertBatch(ctx context.Context, records []Record) ([]BatchResult, error)
}

// BatchResult is the result for one record of a batch. Err is nil, a *Rejection, or retryable.
type BatchResult struct {
	Result

	Err error
}

// Config is the destination in a customer's settings.
type Config struct {
	Kind  string // "rest"
	URL   string
	Token string `json:"-"` // the opened credential, "" if the destination needs none

	BatchSize int // maximum of records per request, if the destination accepts several; below 2: one by one
}

// String leaves out the token, so that a printed Config does not reveal it.
func (c Config) String() string { return fmt.Sprintf("destination %q at %q", c.Kind, c.URL) }

// GoString is String.
func (c Config) GoString() string { return c.String() }

// Factory creates a destination of one kind. It checks the URL. It may be called often: expensive parts, such as a
// pool of connections, are created once and shared by all destinations of the factory.
type Factory func(cfg Config) (Destination, error)

// Opener creates destinations by the name of their kind. The packages of the kinds import this package, so the
// program registers their factories here.
type Opener struct {
	Factories map[string]Factory // by kind
}

// Open returns the destination that cfg describes. A kind without a factory is the permanent fault
// destination_kind_unknown, whose text names the known kinds; other errors are the factory's.
func (o *Opener) Open(cfg Config) (Destination, error) {
	factory, known := o.Factories[cfg.Kind]
	if !known {
		kind := "this kind"
		if isWord(cfg.Kind) {
			kind = fmt.Sprintf("kind %q", cfg.Kind)
		}
		kinds := slices.Sorted(maps.Keys(o.Factories))
		return nil, fault.Permanent("destination_kind_unknown",
			fmt.Errorf("%s of destination is not known: use one of %s", kind, strings.Join(kinds, ", ")))
	}
	dest, err := factory(cfg)
	if err != nil {
		return nil, fmt.Errorf("open destination: %w", err)
	}
	return dest, nil
}
