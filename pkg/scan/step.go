package scan

import (
	"context"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	// PageSize is VOMO's page size, which a request cannot change.
	PageSize = 15
	// ReadAhead is how many pages may be in flight. Stepping back has to go behind all of them.
	ReadAhead = 4

	// Overlap is how far a checkpoint is moved back, so that the next poll reads the last changes again: VOMO's clock and its
	// index may differ.
	Overlap = 2 * time.Minute

	maxWindowUsers = 20 * PageSize
	// rereadAllowance plus the number of pages of the list is how many pages stepping back may read again in all: a total
	// that keeps rising and falling must not keep a scan from ending. Windows of one page find the users still missing.
	rereadAllowance = 100
	// maxStalePages is how many pages in a row may have no new user. After that the list is assumed to repeat the same
	// users for ever: between two requests, not that many users are added.
	maxStalePages = 20
	// maxWindowTries is how often a window is counted or read without agreement.
	maxWindowTries = 5
	// maxWholeListTries is the same limit if all users are one window: each try then reads all pages.
	maxWholeListTries = 2
	// maxUnsettledWindows is how many windows may end without agreement before VOMO's totals are assumed to be wrong.
	maxUnsettledWindows = 3
)

// SeenUsers stores which users a scan saw, in the page's transaction.
type SeenUsers interface {
	NoteSeen(ctx context.Context, scan int64, pass int, users []store.SeenUser) error
	CountSeen(ctx context.Context, scan int64) (int64, error)
	CountSeenBetween(ctx context.Context, scan int64, from, to *time.Time) (int64, error)
	CountSeenIn(ctx context.Context, scan int64, pass int) (int64, error)
	NthCreated(ctx context.Context, scan int64, from *time.Time, skip int) (*time.Time, error)
}

// Step is what follows from one page.
type Step struct {
	Cursor      store.Cursor
	NewUsers    int64 // users that the scan had not seen before
	Recovered   int64 // those of the new users that the first reading of the list had missed
	CursorMoved bool  // the pages read ahead are useless: continue from Cursor with a new query
	Done        bool
	Verified    bool // if Done: the users seen agree with VOMO's counts
}

// Query returns the query for the cursor's pages.
func Query(cursor store.Cursor) vomo.Query {
	var query vomo.Query
	if cursor.WindowFrom != nil {
		query.CreatedAfter = *cursor.WindowFrom
	}
	if cursor.WindowTo != nil {
		query.CreatedBefore = cursor.WindowTo.Add(-timeResolution) // VOMO includes both bounds, and its times are whole seconds
	}
	return query
}

// Options returns where reading starts for a cursor, and how many pages are read ahead.
func Options(cursor store.Cursor) vomo.ScanOptions {
	if cursor.Phase == store.PhaseWindows && !cursor.WindowReading {
		return vomo.ScanOptions{From: 1, Ahead: 1} // the first page has the count
	}
	return vomo.ScanOptions{From: cursor.NextPage, Ahead: ReadAhead}
}

// Read is a page with its distinct ids, including those of unreadable entries.
type Read struct {
	Page  vomo.Page
	Users []store.SeenUser
	New   int64 // how many of Users the scan had not seen before
}

// Next takes pages that were read from cursor on, one after the other, and returns where the scan continues. If it continues elsewhere
// than behind the last of them, the users of the pages behind that place count as seen all the same: they were read, and are written.
func Next(ctx context.Context, seen SeenUsers, scan int64, cursor store.Cursor, pages ...Read) (Step, error) {
	var users []store.SeenUser
	for _, page := range pages {
		users = append(users, page.Users...)
	}
	if err := seen.NoteSeen(ctx, scan, cursor.Pass, users); err != nil {
		return Step{}, err
	}
	all := Step{Cursor: cursor}
	for _, page := range pages {
		all.NewUsers += page.New
		if all.CursorMoved || all.Done {
			continue
		}
		s := &stepper{seen: seen, scan: scan, page: page.Page, step: Step{Cursor: all.Cursor, NewUsers: page.New}}
		if err := s.after(ctx); err != nil {
			return Step{}, err
		}
		all.Cursor, all.CursorMoved, all.Done, all.Verified = s.step.Cursor, s.step.CursorMoved, s.step.Done, s.step.Verified
		all.Recovered += s.step.Recovered
	}
	return all, nil
}

// after continues after the stepper's page.
func (s *stepper) after(ctx context.Context) error {
	switch cursor := s.step.Cursor; {
	case cursor.Phase != store.PhaseWindows:
		return s.afterListPage(ctx)
	case !cursor.WindowReading:
		s.step.Recovered = s.step.NewUsers
		return s.afterCount(ctx)
	default:
		s.step.Recovered = s.step.NewUsers
		return s.afterWindowPage(ctx)
	}
}

// stepper computes one step.
type stepper struct {
	seen SeenUsers
	scan int64
	page vomo.Page
	step Step

	first bool // no page was committed before
}

// afterListPage continues after a page of the list phase.
func (s *stepper) afterListPage(ctx context.Context) error {
	c := &s.step.Cursor
	readBefore := s.page.Number <= c.FurthestPage
	switch {
	case readBefore:
		s.step.Recovered = s.step.NewUsers
	case s.step.NewUsers == 0:
		c.StalePages++
	default:
		c.StalePages = 0
	}
	s.first = c.FurthestPage == 0
	c.FurthestPage = max(c.FurthestPage, s.page.Number)
	lastTotal := c.LastTotal
	if s.page.Total >= 0 {
		total := int64(s.page.Total)
		c.LastTotal = &total
		if lastTotal != nil && total < *lastTotal {
			if s.stepBack(*lastTotal - total) {
				return nil
			}
			c.UnresolvedFall = true
		}
	}
	// A page that disappeared during the scan has no total. Its users moved up to pages that were read before. Reading those
	// again once finds the users and their current total.
	if s.pageDisappeared() && !readBefore && s.stepBack(1) {
		return nil
	}
	if s.page.More && c.StalePages < maxStalePages {
		c.NextPage = s.page.Number + 1
		return nil
	}
	return s.endList(ctx)
}

// pageDisappeared reports whether VOMO has no page of this number any more: it returned neither users nor a total.
func (s *stepper) pageDisappeared() bool {
	return s.page.Number > 1 && s.page.Total < 0 && s.step.Cursor.LastTotal != nil && len(s.page.Users)+len(s.page.Bad) == 0
}

// stepBack moves the cursor back as many places as users were deleted since the last total was read, counted from the
// oldest page that may have been in flight together with this one. It returns false if stepping back has reached its limit.
func (s *stepper) stepBack(deleted int64) bool {
	c := &s.step.Cursor
	pages := int((deleted-1)/PageSize) + 1
	to := max(s.page.Number-(ReadAhead-1)-pages, 1)
	rereads := s.page.Number - to + 1
	if c.RereadPages+rereads > rereadAllowance+c.FurthestPage {
		return false
	}
	c.StepsBack++
	c.RereadPages += rereads
	c.NextPage = to
	s.step.CursorMoved = true
	return true
}

// endList ends the list phase. If all users fit in one window, it compares their number with the total at once; otherwise,
// or if the two differ, it starts the window phase.
func (s *stepper) endList(ctx context.Context) error {
	c := &s.step.Cursor
	if c.LastTotal == nil { // VOMO returned no total to compare with
		s.step.Done = true
		return nil
	}
	seen := s.step.NewUsers
	if !s.first {
		var err error
		if seen, err = s.seen.CountSeen(ctx, s.scan); err != nil {
			return err
		}
	}
	if seen <= maxWindowUsers && seen == *c.LastTotal && !c.UnresolvedFall {
		s.step.Done, s.step.Verified = true, true
		return nil
	}
	c.Phase, c.WindowUnit = store.PhaseWindows, store.UnitSecond
	return s.startWindow(ctx, nil)
}
