package report

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// boardBatch is how many customers the board reads with the same few statements.
const boardBatch = 500

// BoardLine is a customer with what is wrong. Its users are not counted, because counting takes as long as the customer is large.
type BoardLine struct {
	operatorapi.Customer

	Reasons    []Reason
	CaughtUpAt *time.Time // by VOMO's clock: the mirror has all changes up to this time
	// The customer's own limits; nil stands for the installation's.
	RequestsPerSecond, RequestsPerMinute *float64
}

// States say in one word how a customer does.
const (
	StateNeedsYou   = "needs-you"
	StatePaused     = "paused"
	StateStarting   = "starting"
	StateHealthy    = "healthy"
	StateOffboarded = "offboarded"
)

// States returns the states, the worst first.
func States() []string {
	return []string{StateNeedsYou, StatePaused, StateStarting, StateHealthy, StateOffboarded}
}

// StateOf returns how a customer does. Paused is a state of its own, because an operator chose it, unless something else is wrong too.
func StateOf(healthy *bool, isPaused, isOffboarded bool, reasons []Reason) string {
	switch {
	case isOffboarded:
		return StateOffboarded
	case isPaused && !slices.ContainsFunc(reasons, func(r Reason) bool { return r.Unhealthy && r.Code != event.ConditionPaused }):
		return StatePaused
	case healthy == nil:
		return StateStarting
	case *healthy:
		return StateHealthy
	}
	return StateNeedsYou
}

// State returns how the customer does.
func (l BoardLine) State() string {
	return StateOf(l.IsHealthy, l.PausedAt != nil, l.OffboardedAt != nil, l.Reasons)
}

const (
	// boardFor is how long a board is kept at least.
	boardFor = 3 * time.Second
	// boardShare bounds the share of time that reading the board takes, for installations in which it takes seconds.
	boardShare = 20
)

// KeptBoard keeps the lines of all customers for a moment, so that many who look read them once. Its zero value is empty.
type KeptBoard struct {
	mu    sync.Mutex
	kept  []BoardLine
	asOf  time.Time
	until time.Time // by this process's clock
}

// Lines returns all customers, the worst first, and the moment to which they refer. One caller at a time reads them; the others get what is kept.
func (b *KeptBoard) Lines(ctx context.Context, from *store.Store) ([]BoardLine, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.until) {
		return b.kept, b.asOf, nil
	}
	began := time.Now()
	lines, asOf, err := Board(ctx, from)
	if err != nil {
		return b.kept, b.asOf, err
	}
	rank := make(map[string]int, len(lines))
	for _, line := range lines {
		rank[line.CustomerID] = slices.Index(States(), line.State())
	}
	slices.SortStableFunc(lines, func(one, other BoardLine) int {
		return cmp.Or(cmp.Compare(rank[one.CustomerID], rank[other.CustomerID]), cmp.Compare(other.OpenLetters, one.OpenLetters),
			cmp.Compare(one.CustomerID, other.CustomerID))
	})
	b.kept, b.asOf = lines, asOf
	b.until = time.Now().Add(max(boardFor, boardShare*time.Since(began)))
	return b.kept, b.asOf, nil
}

// Forget makes the next call read the customers again.
func (b *KeptBoard) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// Board returns all customers with what is wrong with each, in the order of their ids, and the database's time. It takes about 30 µs for a
// customer, so its caller keeps the result for a while.
func Board(ctx context.Context, from *store.Store) ([]BoardLine, time.Time, error) {
	asOf, err := from.Now(ctx)
	if err != nil {
		return nil, asOf, err
	}
	lines := []BoardLine{}
	for after := ""; ; {
		customers, err := from.Customers(ctx, after, boardBatch)
		if err != nil || len(customers) == 0 {
			return lines, asOf, err
		}
		ids := make([]string, 0, len(customers))
		for _, customer := range customers {
			ids = append(ids, customer.ID)
		}
		facts, err := healthFactsOf(ctx, from, asOf, customers, ids, from.OverviewsWithoutUsers)
		if err != nil {
			return nil, asOf, err
		}
		for i, customer := range customers {
			lines = append(lines, BoardLine{
				Customer: customerOf(customer, facts[i]), Reasons: facts[i].reasons(), CaughtUpAt: customer.CaughtUpAt,
				RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute,
			})
		}
		after = ids[len(ids)-1]
	}
}
