package scan

import (
	"context"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// timeResolution is the resolution of VOMO's times.
const timeResolution = time.Second

const day = 24 * time.Hour

// startWindow starts the window that begins at from. If the scan could not step back after a fall of the total, a missed
// user and a deleted one may cancel out in a count. Windows are then at most one page, which one answer shows completely.
func (s *stepper) startWindow(ctx context.Context, from *time.Time) error {
	users := maxWindowUsers
	if s.step.Cursor.UnresolvedFall {
		users = PageSize
	}
	to, err := s.windowEnd(ctx, from, users)
	if err != nil {
		return err
	}
	s.countWindow(from, to)
	return nil
}

// countWindow makes the next step count the users created at or after from and before to.
func (s *stepper) countWindow(from, to *time.Time) {
	c := &s.step.Cursor
	c.WindowFrom, c.WindowTo = from, to
	c.WindowReading, c.WindowTotal, c.WindowTries, c.NextPage = false, nil, 0, 1
	s.step.CursorMoved = true
}

// windowEnd returns the end of a window that begins at from and has that many of the users seen. The end is a time that
// VOMO's filters can distinguish. It is nil if all later users fit, or if there is no such time. A window has more users
// than requested if more of them were created within one second, or one day.
func (s *stepper) windowEnd(ctx context.Context, from *time.Time, users int) (*time.Time, error) {
	unit := filterUnit(s.step.Cursor)
	if unit == 0 {
		return nil, nil //nolint:nilnil // nil means no bound, as in a cursor
	}
	created, err := s.seen.NthCreated(ctx, s.scan, from, users)
	if err != nil || created == nil {
		return nil, err
	}
	end := created.Truncate(unit)
	if from == nil || end.After(*from) {
		return &end, nil
	}
	following := from.Add(unit)
	if created, err = s.seen.NthCreated(ctx, s.scan, &following, 0); err != nil || created == nil {
		return nil, err
	}
	end = created.Truncate(unit)
	return &end, nil
}

// filterUnit returns the smallest unit of time that VOMO's filters distinguish, or 0 if VOMO ignores them.
func filterUnit(c store.Cursor) time.Duration {
	switch c.WindowUnit {
	case store.UnitDay:
		return day
	case store.UnitNone:
		return 0
	default:
		return timeResolution
	}
}

// afterCount continues after the first page of a window, which has the count and up to a page of the users.
func (s *stepper) afterCount(ctx context.Context) error {
	c := &s.step.Cursor
	if s.foundCoarserFilters() {
		return s.restartWindow(ctx)
	}
	if s.page.Total < 0 {
		return s.endWindow(ctx, false)
	}
	var seen int64
	var err error
	if c.WindowFrom == nil && c.WindowTo == nil {
		seen, err = s.seen.CountSeen(ctx, s.scan)
	} else {
		seen, err = s.seen.CountSeenBetween(ctx, s.scan, c.WindowFrom, c.WindowTo)
	}
	if err != nil {
		return err
	}
	if seen == int64(s.page.Total) && !(c.UnresolvedFall && s.page.More) {
		return s.endWindow(ctx, true)
	}
	if !s.page.More { // this answer shows the window completely
		if s.page.Total == len(s.page.Users)+len(s.page.Bad) {
			return s.endWindow(ctx, true)
		}
		return s.retryWindow(ctx)
	}
	half, err := s.windowEnd(ctx, c.WindowFrom, max(int(seen/2), 1))
	if err != nil {
		return err
	}
	if half != nil && (c.WindowTo == nil || half.Before(*c.WindowTo)) {
		s.countWindow(c.WindowFrom, half)
		return nil
	}
	s.readWindow()
	return nil
}

// foundCoarserFilters reports whether the page has users outside the window: VOMO's filters then have a coarser unit than
// assumed. It stores the coarser unit in the cursor.
func (s *stepper) foundCoarserFilters() bool {
	c := &s.step.Cursor
	if (c.WindowFrom != nil || c.WindowTo != nil) && s.page.More && int64(s.page.Total) >= *c.LastTotal {
		c.WindowUnit = store.UnitNone // a window as large as the whole list: VOMO ignores the filters
		return true
	}
	for _, user := range s.page.Users {
		if user.CreatedAt.IsZero() || c.WindowUnit == store.UnitNone || isWithin(user, c.WindowFrom, c.WindowTo, timeResolution) {
			continue
		}
		if c.WindowUnit == store.UnitDay || !isWithin(user, c.WindowFrom, c.WindowTo, day) {
			c.WindowUnit = store.UnitNone
		} else {
			c.WindowUnit = store.UnitDay
		}
		return true
	}
	return false
}

// isWithin reports whether the user was created in the window, if both bounds are extended to whole units.
func isWithin(user vomo.User, from, to *time.Time, unit time.Duration) bool {
	if from != nil && user.CreatedAt.Before(from.Truncate(unit)) {
		return false
	}
	if to == nil {
		return true
	}
	last := to.Add(-timeResolution).Truncate(unit)
	return user.CreatedAt.Before(last.Add(unit))
}

// restartWindow starts the window again at the last bound that the coarser filters distinguish, or at the beginning if all
// users are one window now.
func (s *stepper) restartWindow(ctx context.Context) error {
	c := &s.step.Cursor
	if c.WindowUnit == store.UnitNone || c.WindowFrom == nil {
		return s.startWindow(ctx, nil)
	}
	from := c.WindowFrom.Truncate(filterUnit(*c))
	return s.startWindow(ctx, &from)
}

// readWindow makes the next steps read a window that cannot be halved from its first page, as a new pass.
func (s *stepper) readWindow() {
	c := &s.step.Cursor
	c.WindowReading, c.WindowTotal, c.NextPage = true, nil, 1
	c.Pass++
	s.step.CursorMoved = true
}

// afterWindowPage continues after a page of a window that is read. If the total changes, users moved during the reading.
func (s *stepper) afterWindowPage(ctx context.Context) error {
	c := &s.step.Cursor
	total := int64(s.page.Total)
	if s.pageDisappeared() && c.WindowTotal != nil {
		total = *c.WindowTotal // the total of the pages before it
	}
	if total < 0 || (c.WindowTotal != nil && *c.WindowTotal != total) {
		return s.retryWindow(ctx)
	}
	c.WindowTotal = &total
	if s.page.More && s.page.Number >= c.FurthestPage+maxStalePages { // a window longer than the whole list repeats its users
		return s.retryWindow(ctx)
	}
	if s.page.More {
		c.NextPage = s.page.Number + 1
		return nil
	}
	seen, err := s.seen.CountSeenIn(ctx, s.scan, c.Pass)
	if err != nil {
		return err
	}
	if seen == total {
		return s.endWindow(ctx, true)
	}
	return s.retryWindow(ctx)
}

// retryWindow counts or reads the window again. After the last try it ends the window without agreement.
func (s *stepper) retryWindow(ctx context.Context) error {
	c := &s.step.Cursor
	c.WindowTries++
	if c.WindowTries >= maxWindowTries || (c.WindowUnit == store.UnitNone && c.WindowTries >= maxWholeListTries) {
		return s.endWindow(ctx, false)
	}
	if c.WindowReading {
		s.readWindow()
	}
	s.step.CursorMoved = true
	return nil
}

// endWindow ends a window and starts the next one.
func (s *stepper) endWindow(ctx context.Context, agreed bool) error {
	c := &s.step.Cursor
	if !agreed {
		c.Unsettled++
	}
	if c.WindowTo == nil || c.Unsettled >= maxUnsettledWindows {
		s.step.Done, s.step.Verified = true, c.Unsettled == 0
		return nil
	}
	return s.startWindow(ctx, c.WindowTo)
}
