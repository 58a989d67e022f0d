package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// Lane is one job's right and means to write one customer's mirror.
type Lane struct {
	Store       *store.Store
	Lease       *store.Lease
	Customer    string
	Job         string // job_log's word: "initial_backfill", …
	JobID       int64
	TraceID     string
	Operation   string // sync_audit's word: "backfill", …; "": create or update, by the mapping
	Events      bool   // tell user.created and user.updated
	IncludeUser bool   // with the record in them
	RetryCaps   store.RetryCaps
	Destination destination.Destination
	Trips       func() uint64 // how often the destination's circuit breaker has opened
	HashKey     []byte        // the customer's, from the vault
	Concurrency int           // writes under way at once, of all pages
	// SealAnswer seals what the destination said of a rejected record, a destination.Answer as JSON, for its letter. nil
	// keeps nothing of it.
	SealAnswer func(plain []byte) ([]byte, error)

	roomOnce sync.Once
	room     chan struct{}
	oneByOne atomic.Bool // the destination takes no batches after all
}

// ApplyOptions vary what a page may do.
type ApplyOptions struct {
	// Probe writes one record first, and no other where that fails: the job was parked because the destination
	// did not work.
	Probe bool
	// Silent says that it was parked because the destination did not answer: the probe is one attempt of 5 s.
	Silent bool
	// Lenient takes a page of which nothing was taken for the destination's fault, however short it is. Without
	// it, what fails on a page too short to open the circuit breaker becomes letters, probe or breaker
	// notwithstanding: otherwise the one bad record of a last page would park its job for ever.
	Lenient bool
	// RewriteBefore has records written again that were written, or refused, before this time, also in the version
	// that is known: the destination is a new one, or lost them. What was written since is skipped as ever. Zero: what
	// is known is skipped.
	RewriteBefore time.Time
	// Forbidden takes a 403 for the record's: the destination has just accepted a record that it has by the same
	// credential, and three parks in a row ended with a 403.
	Forbidden bool
	// AsShown has RewriteBefore's records written as VOMO shows them, also in an older version than the known one:
	// known by a time that was wrong, a user would be missing there. Without it, an older version never replaces a newer one.
	AsShown bool
	// Redrive has records written whose letters are open: the page holds their newest state, and what is refused in
	// the letter's own version counts as one more attempt at it.
	Redrive bool
	// NewSystem says that the destination is another one now: ids that the one before gave are forgotten.
	NewSystem bool
}

// Outcome is what became of a page.
type Outcome struct {
	Written     int              // taken by the destination
	Skipped     int              // known, or with an open letter
	Failed      int              // got a letter, or one more attempt at theirs
	Unsynced    []Unsynced       // those of this page that the mapping did not have in this version
	HighestSeen *time.Time       // the latest change, none later than Date allows; nil on a page without users
	Date        time.Time        // VOMO's clock when it answered, or the database's where VOMO did not say
	Seen        []store.SeenUser // every entry's id once; those without one are named by what they hold
}

// Unsynced is a user whom the mapping did not have in the version that the page brought, whatever became of it.
type Unsynced struct {
	VomoID    string
	Mapped    bool // in an older version
	UpdatedAt time.Time
}

// Apply brings a page to the destination and commits it: Write, and then Commit.
func (l *Lane) Apply(ctx context.Context, page vomo.Page, options ApplyOptions,
	remember func(ctx context.Context, tx *store.Tx, outcome Outcome) error,
) (Outcome, error) {
	brought, err := l.Write(ctx, page, options)
	if err != nil {
		return Outcome{}, err
	}
	return brought.Commit(ctx, remember)
}

// Brought is a page whose records are at the destination, skipped, or about to get a letter, and which is not
// remembered yet.
type Brought struct {
	lane    *Lane
	number  int
	options ApplyOptions
	changes changes
}

// Write brings a page to the destination. After an error nothing of the page may be committed:
// ErrDestinationDown, ErrDestinationThrottled and ErrDestinationAuth are the destination's, store.ErrLaneLost means that another worker
// has the customer.
//
// The page before may be committed meanwhile, where the two share no user: what Write compares with is what is
// committed.
func (l *Lane) Write(ctx context.Context, page vomo.Page, options ApplyOptions) (*Brought, error) {
	decided, err := l.decide(ctx, page, options)
	if err != nil {
		return nil, fmt.Errorf("compare page %d: %w", page.Number, err)
	}
	results, err := l.writeAll(ctx, decided.write, options)
	if err != nil {
		err = fmt.Errorf("write page %d: %w", page.Number, err)
		return nil, errors.Join(err, l.keepAccepted(ctx, decided, results, options, err))
	}
	if err := l.sealAnswers(results); err != nil {
		return nil, fmt.Errorf("write page %d: %w", page.Number, err)
	}
	brought := &Brought{lane: l, number: page.Number, options: options, changes: l.changes(decided, results, options)}
	brought.changes.outcome.Seen, brought.changes.outcome.Date = decided.seen, decided.clocks.vomo
	return brought, nil
}

// keepAccepted remembers what the destination accepted of a page that it then ended with a pause or with a 403. Each
// attempt at such a page would otherwise begin with the same records: a destination that takes ten a minute would never
// have taken a page, and a customer's first page would never give a record by which a 403 can be judged.
func (l *Lane) keepAccepted(ctx context.Context, decided decision, results []written, options ApplyOptions, cause error) error {
	if !errors.Is(cause, ErrDestinationThrottled) && !errors.Is(cause, destination.ErrForbidden) {
		return nil
	}
	accepted, answers := decision{clocks: decided.clocks}, []written{}
	for i, result := range results {
		if result.externalID != "" {
			accepted.write, answers = append(accepted.write, decided.write[i]), append(answers, result)
		}
	}
	if len(answers) == 0 {
		return nil
	}
	kept := &Brought{lane: l, options: options, changes: l.changes(accepted, answers, options)}
	_, err := kept.Commit(ctx, func(context.Context, *store.Tx, Outcome) error { return nil })
	return err
}

// Commit remembers the page: mappings, audit, letters and whatever remember adds (cursor, progress, events) in one
// transaction in which the lane is asserted. After an error nothing of the page is committed.
func (b *Brought) Commit(ctx context.Context, remember func(ctx context.Context, tx *store.Tx, outcome Outcome) error) (Outcome, error) {
	err := b.lane.Store.InLane(ctx, b.lane.Lease, func(ctx context.Context, tx *store.Tx) error {
		if err := b.lane.save(ctx, tx, b.changes, b.options); err != nil {
			return err
		}
		return remember(ctx, tx, b.changes.outcome)
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("commit page %d: %w", b.number, err)
	}
	return b.changes.outcome, nil
}

// changes are a page's rows, ready for set-based statements.
type changes struct {
	mappings   []store.Mapping
	audit      []store.AuditEntry
	superseded []string
	retried    []uuid.UUID // letters whose record stands in the destination now
	moot       []uuid.UUID // letters that were to be redriven, and whose version had come by another way
	refused    []deadletter.Refused
	again      []deadletter.Again
	told       []change
	outcome    Outcome
	clocks     clocks
}

func (l *Lane) changes(decided decision, results []written, options ApplyOptions) changes {
	c := changes{moot: decided.moot, clocks: decided.clocks}
	for i, entry := range decided.write {
		audit := store.AuditEntry{RecordID: entry.vomoID, UpdatedAt: entry.version.UpdatedAt, Operation: l.operation(entry.mapped)}
		if !entry.rewrite {
			c.outcome.Unsynced = append(c.outcome.Unsynced, Unsynced{VomoID: entry.vomoID, Mapped: entry.mapped, UpdatedAt: entry.version.UpdatedAt})
		}
		if err := results[i].err; err != nil {
			code, retryable := refusalCode(err)
			audit.ErrorCode = code
			c.refuse(deadletter.Refused{
				RecordID: entry.vomoID, Version: entry.version, Code: code, Answer: results[i].answer, Retryable: retryable,
			}, entry.letter, options)
		} else {
			c.taken(entry, results[i].externalID, options)
		}
		c.audit = append(c.audit, audit)
	}
	for _, bad := range decided.unreadable {
		c.refuse(bad.Refused, bad.letter, options)
		c.audit = append(c.audit, store.AuditEntry{
			RecordID: bad.RecordID, UpdatedAt: bad.Version.UpdatedAt, ErrorCode: bad.Code, Operation: l.operation(true),
		})
	}
	for _, late := range decided.behind {
		c.refuse(late.Refused, late.letter, options)
	}
	c.outcome.Written, c.outcome.Skipped, c.outcome.Failed = len(c.mappings), decided.skipped, len(c.refused)+len(c.again)
	if decided.highest.After(vomo.OldestTime()) { // that is nobody's
		c.outcome.HighestSeen = &decided.highest
	}
	return c
}

func (c *changes) taken(entry candidate, externalID string, options ApplyOptions) {
	c.mappings = append(c.mappings, store.Mapping{
		VomoID: entry.vomoID, ExternalID: externalID, Email: entry.email, Version: entry.version, Digests: entry.digests,
		SentAt: entry.record.SourceUpdatedAt, Lower: entry.lower,
	})
	if !entry.rewrite {
		c.told = append(c.told, change{entry: entry, externalID: externalID})
	}
	switch {
	case entry.letter == nil:
	case options.Redrive:
		c.retried = append(c.retried, entry.letter.ID)
	default:
		c.superseded = append(c.superseded, entry.vomoID)
	}
}

// refuse sorts a record that was not taken: a redriven version that was refused before keeps its letter, any other
// gets a letter of its own.
func (c *changes) refuse(refused deadletter.Refused, letter *store.OpenLetter, options ApplyOptions) {
	if options.Redrive && letter != nil && c.clocks.compare(refused.Version, letter.Version, letter.FailedAt) != newer {
		c.again = append(c.again, deadletter.Again{Letter: *letter, Code: refused.Code, Reason: refused.Reason, Answer: refused.Answer, Retryable: refused.Retryable})
		return
	}
	c.refused = append(c.refused, refused)
}

// operation is the audit's word for what is done to a record.
func (l *Lane) operation(mapped bool) string {
	switch {
	case l.Operation != "":
		return l.Operation
	case mapped:
		return "update"
	}
	return "create"
}

func (l *Lane) save(ctx context.Context, tx *store.Tx, c changes, options ApplyOptions) error {
	save := tx.SaveMappings
	if options.NewSystem {
		save = tx.SaveMappingsAnew
	}
	if err := save(ctx, l.Customer, c.mappings); err != nil {
		return err
	}
	var since time.Time
	if options.NewSystem {
		since = options.RewriteBefore // ids that the system before gave may be the same by chance
	}
	if err := tx.NoteSharedContact(ctx, l.Customer, c.mappings, since); err != nil {
		return err
	}
	if err := tx.SaveAudit(ctx, store.AuditScope{Customer: l.Customer, JobID: l.JobID, TraceID: l.TraceID}, c.audit); err != nil {
		return err
	}
	if _, err := tx.SupersedeLetters(ctx, l.Customer, deadletter.KindUser, c.superseded); err != nil {
		return err
	}
	if err := tx.SettleLetters(ctx, c.retried, settledRetried); err != nil {
		return err
	}
	if err := tx.SettleLetters(ctx, c.moot, settledSuperseded); err != nil {
		return err
	}
	if err := deadletter.FailAgain(ctx, tx, l.Job, l.RetryCaps, c.again); err != nil {
		return err
	}
	if err := deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: l.Customer, Job: l.Job, TraceID: l.TraceID}, c.refused); err != nil {
		return err
	}
	return l.tell(ctx, tx, c.told)
}

// How letters were settled that a page settles.
const (
	settledRetried    = "retried"
	settledSuperseded = "superseded"
)
