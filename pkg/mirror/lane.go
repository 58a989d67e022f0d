package mirror

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
)

// Lane lets one job write one customer's users to the destination.
type Lane struct {
	Store       *store.Store
	Lease       *store.Lease
	Customer    string
	Job         string // the value of job_log.job: "initial_backfill", …
	JobID       int64
	TraceID     string
	Operation   string // the value of sync_audit.operation: "backfill", …; "": create or update, depending on the mapping
	Events      bool   // publish user.created and user.updated
	IncludeUser bool   // include the record in these events
	// Owned are the fields that the external system owns, by their names in the destination. A user that the destination
	// has is written without them, and a change of them alone is not written.
	Owned       []string
	RetryCaps   store.RetryCaps
	Destination destination.Destination
	Trips       func() uint64 // returns how often the destination's circuit breaker has opened
	HashKey     []byte        // the customer's key from the vault
	Concurrency int           // requests in flight at once, over all pages
	// Participations reads what is kept of users' participations. It is nil if the destination gets nothing about them.
	Participations *participation.Book
	// NoLetters says that no user of the customer had an open letter once the lane was taken. Only the holder of the lane opens letters,
	// except those that a customer's return opens again while no run of the customer is worked.
	NoLetters bool
	// SealAnswer seals the destination's answer to a rejected record, a destination.Answer as JSON, for its letter. If
	// it is nil, letters keep no answer.
	SealAnswer func(plain []byte) ([]byte, error)

	inFlightOnce    sync.Once
	inFlight        chan struct{}
	batchesDisabled atomic.Bool // the destination rejected a batch as a whole
	letterOpened    atomic.Bool // by a page of this lane
}

// ApplyOptions change how a page is applied.
type ApplyOptions struct {
	// Probe writes one record first, and no other if that one fails. Set it after the run was parked because the
	// destination was down.
	Probe bool
	// ShortProbe limits the probe to one attempt of 5 s. Set it if the run was parked because the destination did not
	// answer.
	ShortProbe bool
	// PresumeOutage treats a page of which no record was accepted as an outage of the destination, however short the page
	// is. Without it, records that fail on a page too short to open the circuit breaker get letters, even if the probe
	// failed or the breaker is open: otherwise one bad record on the last page would park its run for ever.
	PresumeOutage bool
	// RewriteBefore writes records again that were written, or got their letter, before this time, even if they are
	// unchanged: the destination was replaced or lost its data. Records written later are skipped if they are unchanged.
	// Zero: unchanged records are skipped.
	RewriteBefore time.Time
	// ForbiddenRejectsRecord treats a 403 as a rejection of the record. Set it after the destination accepted an unchanged
	// record with the same credentials, although three parks in a row ended with a 403.
	ForbiddenRejectsRecord bool
	// AllowOlder lets RewriteBefore also write a version that is older than the mapped one: if the mapped time was wrong,
	// the destination would not get the user otherwise. Without it, an older version never replaces a newer one.
	AllowOlder bool
	// Redrive writes records that have open letters. The page holds the newest state of these records; if the destination
	// rejects the letter's own version again, that counts as another attempt of the letter.
	Redrive bool
	// Participations are rows, by VOMO id, that the page's transaction saves: they count instead of the stored ones.
	Participations map[string]store.Participations
	// NewSystem says that the destination is another system now: the ids that the previous system returned are deleted.
	NewSystem bool
	// RewriteOwed says that users have to be written again and not all of them were. Every newer version is written until then:
	// the rewrite would skip its user.
	RewriteOwed bool
	// AdoptOnly writes nothing to the destination: the mapping takes over versions that differ only in owned fields, and all
	// others are left to the next poll.
	AdoptOnly bool
	// Scan is the scan of which SeenPage.New is counted; 0: none.
	Scan int64
}

// Outcome is the result of applying a page.
type Outcome struct {
	Written     int        // accepted by the destination
	Skipped     int        // unchanged, older, only in owned fields, or waiting in an open letter
	Failed      int        // got a letter, or another attempt counted on their letter
	Unsynced    []Unsynced // the page's users whose mapping did not have this version
	HighestSeen *time.Time // the latest change, at most 5 min after Date; nil if the page has no users
	Date        time.Time  // VOMO's clock when it answered, or the database's clock if VOMO sent no Date
	// Participations are the digests of the fields of participations that the destination got, by VOMO id.
	Participations map[string][]byte
	Seen           []SeenPage // by page, in order
}

// SeenPage are the users of one page. An entry without an id has one made from its content.
type SeenPage struct {
	Users []store.SeenUser // each distinct id
	New   int64            // of these, those that neither ApplyOptions.Scan nor an earlier page of the same call had seen
}

// Unsynced is a user whose mapping did not have the page's version, whether or not the write succeeded.
type Unsynced struct {
	VomoID    string
	Mapped    bool // in an older version
	UpdatedAt time.Time
}

// beginRequest waits until one more request may be in flight. All pages being written share the limit.
func (l *Lane) beginRequest(ctx context.Context) error {
	l.inFlightOnce.Do(func() { l.inFlight = make(chan struct{}, max(l.Concurrency, 1)) }) // a limit of 0 would block for ever
	select {
	case l.inFlight <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to write record: %w", context.Cause(ctx))
	}
}

func (l *Lane) endRequest() { <-l.inFlight }
