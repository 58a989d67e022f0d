package pages

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// board keeps the lines of all customers for a moment, so that many open pages read them once.
type board struct {
	mu    sync.Mutex
	kept  []report.BoardLine
	asOf  time.Time
	until time.Time // by this process's clock
}

const (
	// boardFor is how long lines are shown at least.
	boardFor = 3 * time.Second
	// boardShare bounds the share of time that reading the board takes, for installations in which it takes seconds.
	boardShare = 20
)

// lines returns all customers, the worst first, and the moment to which they refer. One request at a time reads them; the others get what is kept.
func (b *board) lines(ctx context.Context, from *store.Store) ([]report.BoardLine, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.until) {
		return b.kept, b.asOf, nil
	}
	began := time.Now()
	lines, asOf, err := report.Board(ctx, from)
	if err != nil {
		return b.kept, b.asOf, err
	}
	slices.SortStableFunc(lines, func(one, other report.BoardLine) int {
		return cmp.Or(cmp.Compare(rank(one), rank(other)), cmp.Compare(other.OpenLetters, one.OpenLetters), cmp.Compare(one.CustomerID, other.CustomerID))
	})
	b.kept, b.asOf = lines, asOf
	b.until = time.Now().Add(max(boardFor, boardShare*time.Since(began)))
	return b.kept, b.asOf, nil
}

// state is how a customer does, in one word.
type state struct {
	Code  string // of the filter, and of the style
	Word  string
	Shape string
	Rank  int
}

// States, the worst first.
func needsYou() state   { return state{"needs-you", "Needs you", "✖", 0} }
func paused() state     { return state{"paused", "Paused", "‖", 1} }
func starting() state   { return state{"starting", "Starting", "◔", 2} }
func healthy() state    { return state{"healthy", "Healthy", "✔", 3} }
func offboarded() state { return state{"offboarded", "Offboarded", "○", 4} }

// stateOf returns how a customer does. Paused is a state of its own, because an operator chose it, unless something else is wrong too.
func stateOf(health *bool, isPaused, isOffboarded bool, reasons []report.Reason) state {
	switch {
	case isOffboarded:
		return offboarded()
	case isPaused && !slices.ContainsFunc(reasons, func(r report.Reason) bool { return r.Unhealthy && r.Code != event.ConditionPaused }):
		return paused()
	case health == nil:
		return starting()
	case *health:
		return healthy()
	}
	return needsYou()
}

func lineState(line report.BoardLine) state {
	return stateOf(line.IsHealthy, line.PausedAt != nil, line.OffboardedAt != nil, line.Reasons)
}

func rank(line report.BoardLine) int { return lineState(line).Rank }

// counts are the numbers of the rail.
type counts struct {
	AsOf                                      time.Time
	Customers, NeedYou, Letters, Held, Alerts int64
	Paused, Starting, Healthy, Offboarded     int64
}

func countsOf(lines []report.BoardLine, asOf time.Time) counts {
	made := counts{AsOf: asOf}
	for _, line := range lines {
		made.Letters += line.OpenLetters
		switch lineState(line).Code {
		case needsYou().Code:
			made.NeedYou++
		case paused().Code:
			made.Paused++
		case starting().Code:
			made.Starting++
		case healthy().Code:
			made.Healthy++
		case offboarded().Code:
			made.Offboarded++
			continue
		}
		made.Customers++
		made.Alerts += int64(len(line.Alerts))
		for _, alert := range line.Alerts {
			switch alert {
			case event.AlertDeletionsHeld, event.AlertGiftDeletionsHeld:
				made.Held++
			}
		}
	}
	return made
}
