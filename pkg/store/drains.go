package store

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// States of a drain.
const (
	DrainRunning = "running"
	DrainDone    = "done"
	DrainAborted = "aborted"
)

// Outcomes of a letter in a drain's ledger.
const (
	DrainItemDone = "done"
	DrainItemLeft = "left"
)

// NewDrain is a drain that an operator asks for.
type NewDrain struct {
	Customer string // "": of all customers
	Verb     string
	Filter   []byte // JSON, in the form of the operator API
	Note     string
	AsOf     time.Time
	Planned  int64
	Pace     int32 // letters a minute; 0: as fast as it goes
	AskedBy  string
}

// AddDrain starts a drain. It returns ErrNotFound if one of the same customer is running, or of all customers for a drain of all.
func (t *Tx) AddDrain(ctx context.Context, drain NewDrain) (int64, error) {
	params := &db.DrainInsertParams{
		CustomerID: given(drain.Customer), Verb: drain.Verb, Filter: drain.Filter, Note: given(drain.Note), AsOf: drain.AsOf, Planned: drain.Planned,
		AskedBy: drain.AskedBy,
	}
	if drain.Pace > 0 {
		params.Pace = &drain.Pace
	}
	return t.queries.DrainInsert(ctx, t.dbtx, params)
}

// Drain is a row of dlq_drains.
type Drain struct {
	ID         int64
	CustomerID *string // nil: of all customers
	Verb       string
	Filter     []byte
	Note       *string
	AsOf       time.Time
	Planned    int64
	Pace       *int32
	State      string
	AskedBy    string
	DoneCount  int64
	LeftCount  int64
	DueAt      *time.Time
	CreatedAt  time.Time
	EndedAt    *time.Time
}

// Drain returns a drain; ErrNotFound if there is none.
func (c Conn) Drain(ctx context.Context, id int64) (Drain, error) {
	row, err := c.queries.DrainGet(ctx, c.dbtx, id)
	if err != nil {
		return Drain{}, err
	}
	return Drain(*row), nil
}

// Drains returns up to atMost drains with ids below before, the newest first; customer "" means those of all, before 0 the newest.
func (c Conn) Drains(ctx context.Context, customer string, before int64, atMost int32) ([]Drain, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	drains := []Drain{}
	if customer != "" {
		rows, err := c.queries.DrainsPageOfCustomer(ctx, c.dbtx, &db.DrainsPageOfCustomerParams{CustomerID: customer, Before: before, AtMost: atMost})
		for _, row := range rows {
			drains = append(drains, Drain(*row))
		}
		return drains, err
	}
	rows, err := c.queries.DrainsPage(ctx, c.dbtx, &db.DrainsPageParams{Before: before, AtMost: atMost})
	for _, row := range rows {
		drains = append(drains, Drain(*row))
	}
	return drains, err
}

// DrainItem is a line of a drain's ledger.
type DrainItem struct {
	LetterID   uuid.UUID
	CustomerID string
	Outcome    string
	Reason     *string // of a letter that was left as it was
	Detail     *string
	Nth        int64 // its place in the ledger
	At         time.Time
}

// DrainItems returns up to atMost lines of a drain's ledger whose place is before another one, the newest first; outcome "" means any, before
// 0 the newest.
func (c Conn) DrainItems(ctx context.Context, drain int64, outcome string, before int64, atMost int32) ([]DrainItem, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := c.queries.DrainItemsPage(ctx, c.dbtx, &db.DrainItemsPageParams{DrainID: drain, Before: before, Outcome: outcome, AtMost: atMost})
	items := make([]DrainItem, 0, len(rows))
	for _, row := range rows {
		items = append(items, DrainItem(*row))
	}
	return items, err
}

// DrainClaim is the right of one process to work the next batch of a drain.
type DrainClaim struct {
	ID       int64
	Verb     string
	Filter   []byte
	Note     string
	AsOf     time.Time
	Pace     int32  // 0: as fast as it goes
	Position string // behind which the batch begins

	number int64
}

// ClaimDrain returns a drain whose next batch is due; ErrNotFound if there is none. No other process gets it before hold has passed, unless
// AdvanceDrain ends the claim.
func (c Conn) ClaimDrain(ctx context.Context, hold time.Duration) (DrainClaim, error) {
	row, err := c.queries.DrainClaimDue(ctx, c.dbtx, hold)
	if err != nil {
		return DrainClaim{}, err
	}
	claim := DrainClaim{
		ID: row.ID, Verb: row.Verb, Filter: row.Filter, Note: valueOf(row.Note), AsOf: row.AsOf, Position: row.Position, number: row.Claim,
	}
	if row.Pace != nil {
		claim.Pace = *row.Pace
	}
	return claim, nil
}

// NextDrainIn returns in how long a batch of any drain is due, an hour if no drain runs.
func (c Conn) NextDrainIn(ctx context.Context) (time.Duration, error) {
	return c.queries.DrainsNextDue(ctx, c.dbtx)
}

// HoldDrain locks the drain of a claim until the transaction ends. It returns ErrNotFound if the drain was aborted or deleted, or if another
// process has claimed it since: the transaction must change nothing then.
func (t *Tx) HoldDrain(ctx context.Context, claim DrainClaim) error {
	_, err := t.queries.DrainHold(ctx, t.dbtx, &db.DrainHoldParams{ID: claim.ID, Claim: claim.number})
	return err
}

// NewDrainItem is a line that is added to a ledger. Reason is "" for a letter that was done.
type NewDrainItem struct {
	LetterID                 uuid.UUID
	Customer, Reason, Detail string
}

// AddDrainItems adds lines to the ledger of a drain that the transaction holds, and counts them. It fails if one of the letters is in the
// ledger already.
func (t *Tx) AddDrainItems(ctx context.Context, drain int64, items []NewDrainItem) error {
	if len(items) == 0 {
		return nil
	}
	params := &db.DrainItemsInsertParams{DrainID: drain}
	for _, item := range items {
		params.LetterIds = append(params.LetterIds, item.LetterID)
		params.CustomerIds = append(params.CustomerIds, item.Customer)
		params.Reasons = append(params.Reasons, item.Reason)
		params.Details = append(params.Details, item.Detail)
	}
	return t.queries.DrainItemsInsert(ctx, t.dbtx, params)
}

// InDrain returns those of these letters that are in a drain's ledger.
func (c Conn) InDrain(ctx context.Context, drain int64, letters []uuid.UUID) ([]uuid.UUID, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	return c.queries.DrainItemsAmong(ctx, c.dbtx, &db.DrainItemsAmongParams{DrainID: drain, LetterIds: letters})
}

// AdvanceDrain ends the claim of a drain that the transaction holds: its next batch begins behind position, and is due after pause.
func (t *Tx) AdvanceDrain(ctx context.Context, drain int64, position string, pause time.Duration) error {
	return t.queries.DrainAdvance(ctx, t.dbtx, &db.DrainAdvanceParams{ID: drain, Position: position, Pause: pause})
}

// EndDrain ends a drain in a state. It returns ErrNotFound if the drain is not running.
func (t *Tx) EndDrain(ctx context.Context, drain int64, state string) error {
	_, err := t.queries.DrainEnd(ctx, t.dbtx, &db.DrainEndParams{ID: drain, State: state})
	return err
}

// ForgetDrains deletes up to atMost lines of drains that ended longer than age ago, and the drains when their ledgers are empty.
func (c Conn) ForgetDrains(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	items, err := c.queries.DrainItemsForget(ctx, c.dbtx, &db.DrainItemsForgetParams{Age: age, AtMost: atMost})
	if err != nil || items > 0 {
		return items, err
	}
	return c.queries.DrainsForget(ctx, c.dbtx, &db.DrainsForgetParams{Age: age, AtMost: atMost})
}

// OffboardDrains ends the customer's drains, and deletes them with up to atMost lines about its letters, also those of drains of all customers.
func (t *Tx) OffboardDrains(ctx context.Context, customer string, atMost int32) (int64, error) {
	if err := t.queries.DrainsOffboard(ctx, t.dbtx, customer); err != nil {
		return 0, err
	}
	items, err := t.queries.DrainItemsOffboard(ctx, t.dbtx, &db.DrainItemsOffboardParams{CustomerID: customer, AtMost: atMost})
	if err != nil || items == int64(atMost) {
		return items, err
	}
	_, err = t.queries.DrainsOffboardEnded(ctx, t.dbtx, customer)
	return items, err
}
