package scan

import (
	"context"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// PageSize is VOMO's, and cannot be changed there.
	PageSize = 15
	// ReadAhead is how many pages may be in flight: what a step back has to go behind.
	ReadAhead = 4

	// Overlap is what a checkpoint stays behind, because VOMO's clock and its index need not agree.
	Overlap = 2 * time.Minute

	windowUsers = 20 * PageSize
	// rereadAllowance and as many pages as the list has are what stepping back may cost altogether: a total that
	// goes up and down without end must not keep a scan from its end. Windows of one page find what is left.
	rereadAllowance = 100
	// stalePages is after how many pages in a row without anybody new a list is taken to go round: one that never
	// ends, and shows the same people again and again. So many do not join between two reads.
	stalePages = 20
	// windowTries is how often a window is read that does not come to agree.
	windowTries = 5
	// wholeTries is how often, where the whole set is one window: that is all of its pages each time.
	wholeTries = 2
	// unsettledWindows is from how many windows without agreement VOMO's totals are taken for wrong.
	unsettledWindows = 3
)

// Notes are what a scan saw, kept by the page's transaction.
type Notes interface {
	NoteSeen(ctx context.Context, scan int64, pass int, users []store.SeenUser) (fresh int64, err error)
	CountSeen(ctx context.Context, scan int64) (int64, error)
	CountSeenBetween(ctx context.Context, scan int64, from, to *time.Time) (int64, error)
	CountSeenIn(ctx context.Context, scan int64, pass int) (int64, error)
	NthCreated(ctx context.Context, scan int64, from *time.Time, skip int) (*time.Time, error)
}

// Step is what a page means for its scan.
type Step struct {
	Cursor    store.Cursor
	Fresh     int64 // users whom the scan had not met before
	Recovered int64 // those of them whom the first reading of the list had missed
	Moved     bool  // the pages read ahead are of no use: go on with a new query from Cursor
	Done      bool
	Verified  bool // of a scan that is done: what was read agrees with what VOMO counts
}

// Query is what the cursor's pages are asked for with.
func Query(cursor store.Cursor) vomo.Query {
	var query vomo.Query
	if cursor.WindowFrom != nil {
		query.CreatedAfter = *cursor.WindowFrom
	}
	if cursor.WindowTo != nil {
		query.CreatedBefore = cursor.WindowTo.Add(-resolution) // VOMO's bounds are inclusive, its times whole seconds
	}
	return query
}

// Options are how the cursor's pages are read.
func Options(cursor store.Cursor) vomo.ScanOptions {
	if cursor.Phase == store.PhaseWindows && !cursor.WindowReading {
		return vomo.ScanOptions{From: 1, Ahead: 1} // one answer tells the count
	}
	return vomo.ScanOptions{From: cursor.NextPage, Ahead: ReadAhead}
}

// Next takes in a page that was read at cursor, and says where the scan goes on. users are the page's distinct
// ids, those that cannot be read among them.
func Next(ctx context.Context, notes Notes, scan int64, cursor store.Cursor, page vomo.Page, users []store.SeenUser) (Step, error) {
	fresh, err := notes.NoteSeen(ctx, scan, cursor.Pass, users)
	if err != nil {
		return Step{}, err
	}
	s := &stepper{notes: notes, scan: scan, page: page, step: Step{Cursor: cursor, Fresh: fresh}}
	switch {
	case cursor.Phase != store.PhaseWindows:
		err = s.list(ctx)
	case !cursor.WindowReading:
		s.step.Recovered = fresh
		err = s.count(ctx)
	default:
		s.step.Recovered = fresh
		err = s.reading(ctx)
	}
	return s.step, err
}

// stepper works out one step.
type stepper struct {
	notes Notes
	scan  int64
	page  vomo.Page
	step  Step
}

// list takes in a page of the first phase.
func (s *stepper) list(ctx context.Context) error {
	c := &s.step.Cursor
	met := s.page.Number <= c.FurthestPage
	switch {
	case met:
		s.step.Recovered = s.step.Fresh
	case s.step.Fresh == 0:
		c.StalePages++
	default:
		c.StalePages = 0
	}
	c.FurthestPage = max(c.FurthestPage, s.page.Number)
	before := c.LastTotal
	if s.page.Total >= 0 {
		total := int64(s.page.Total)
		c.LastTotal = &total
		if before != nil && total < *before {
			if s.stepBack(*before - total) {
				return nil
			}
			c.Doubt = true
		}
	}
	// A page that vanished while the list was read counts no user: the users on it moved up, to pages that were read
	// before. Those are read again, once, and tell how many there are now.
	if s.vanished() && !met && s.stepBack(1) {
		return nil
	}
	if s.page.More && c.StalePages < stalePages {
		c.NextPage = s.page.Number + 1
		return nil
	}
	return s.endOfList(ctx)
}

// vanished says whether the page is gone: VOMO has none of that number, and tells no total.
func (s *stepper) vanished() bool {
	return s.page.Number > 1 && s.page.Total < 0 && s.step.Cursor.LastTotal != nil && len(s.page.Users)+len(s.page.Bad) == 0
}

// stepBack goes back as far as people may have moved since the page that told the higher total was read: that
// many places, from the oldest page that may have been in flight with this one. It is false where stepping back
// has cost enough.
func (s *stepper) stepBack(gone int64) bool {
	c := &s.step.Cursor
	moved := int((gone-1)/PageSize) + 1
	to := max(s.page.Number-(ReadAhead-1)-moved, 1)
	cost := s.page.Number - to + 1
	if c.RereadPages+cost > rereadAllowance+c.FurthestPage {
		return false
	}
	c.StepsBack++
	c.RereadPages += cost
	c.NextPage = to
	s.step.Moved = true
	return true
}

// endOfList compares at once what fits one window, and begins with the windows of what does not.
func (s *stepper) endOfList(ctx context.Context) error {
	c := &s.step.Cursor
	if c.LastTotal == nil { // VOMO counts nothing that one could compare with
		s.step.Done = true
		return nil
	}
	seen, err := s.notes.CountSeen(ctx, s.scan)
	if err != nil {
		return err
	}
	if seen <= windowUsers && seen == *c.LastTotal && !c.Doubt {
		s.step.Done, s.step.Verified = true, true
		return nil
	}
	c.Phase, c.WindowUnit = store.PhaseWindows, store.UnitSecond
	return s.open(ctx, nil)
}
