package scan

import (
	"context"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// resolution is that of VOMO's times.
const resolution = time.Second

const day = 24 * time.Hour

// open begins with the window that starts at from. Where a fall of the total was not followed up, one who was
// missed may hide behind one who is gone and leave the count as it was: then windows are no larger than a page,
// which one answer shows whole.
func (s *stepper) open(ctx context.Context, from *time.Time) error {
	users := windowUsers
	if s.step.Cursor.Doubt {
		users = PageSize
	}
	to, err := s.cut(ctx, from, users)
	if err != nil {
		return err
	}
	s.window(from, to)
	return nil
}

// window counts what was created from (inclusive) to (exclusive) next.
func (s *stepper) window(from, to *time.Time) {
	c := &s.step.Cursor
	c.WindowFrom, c.WindowTo = from, to
	c.WindowReading, c.WindowTotal, c.WindowTries, c.NextPage = false, nil, 0, 1
	s.step.Moved = true
}

// cut finds the end of a window that begins at from and holds some users of those seen, at a boundary that
// VOMO's filters can tell; nil where all that follow fit, or where no such boundary is left. A window is larger
// than asked for where more were created within one second, or one day, than fit.
func (s *stepper) cut(ctx context.Context, from *time.Time, users int) (*time.Time, error) {
	unit := unitOf(s.step.Cursor)
	if unit == 0 {
		return nil, nil //nolint:nilnil // nil is no bound, as in a cursor
	}
	after, err := s.notes.NthCreated(ctx, s.scan, from, users)
	if err != nil || after == nil {
		return nil, err
	}
	end := after.Truncate(unit)
	if from == nil || end.After(*from) {
		return &end, nil
	}
	following := from.Add(unit)
	if after, err = s.notes.NthCreated(ctx, s.scan, &following, 0); err != nil || after == nil {
		return nil, err
	}
	end = after.Truncate(unit)
	return &end, nil
}

func unitOf(c store.Cursor) time.Duration {
	switch c.WindowUnit {
	case store.UnitDay:
		return day
	case store.UnitNone:
		return 0
	default:
		return resolution
	}
}

// count takes in the first page of a window: it tells how many there are, and shows up to a page of them.
func (s *stepper) count(ctx context.Context) error {
	c := &s.step.Cursor
	if s.coarser() {
		return s.openCoarser(ctx)
	}
	if s.page.Total < 0 {
		return s.settle(ctx, false)
	}
	var seen int64
	var err error
	if c.WindowFrom == nil && c.WindowTo == nil {
		seen, err = s.notes.CountSeen(ctx, s.scan)
	} else {
		seen, err = s.notes.CountSeenBetween(ctx, s.scan, c.WindowFrom, c.WindowTo)
	}
	if err != nil {
		return err
	}
	if seen == int64(s.page.Total) && !(c.Doubt && s.page.More) {
		return s.settle(ctx, true)
	}
	if !s.page.More { // one answer shows the window whole
		if s.page.Total == len(s.page.Users)+len(s.page.Bad) {
			return s.settle(ctx, true)
		}
		return s.again(ctx)
	}
	half, err := s.cut(ctx, c.WindowFrom, max(int(seen/2), 1))
	if err != nil {
		return err
	}
	if half != nil && (c.WindowTo == nil || half.Before(*c.WindowTo)) {
		s.window(c.WindowFrom, half)
		return nil
	}
	s.read()
	return nil
}

// coarser says whether the page holds people who were not asked for, so that VOMO honours the filters less
// finely than believed, and notes how finely.
func (s *stepper) coarser() bool {
	c := &s.step.Cursor
	if (c.WindowFrom != nil || c.WindowTo != nil) && s.page.More && int64(s.page.Total) >= *c.LastTotal {
		c.WindowUnit = store.UnitNone // a part that is no smaller than the whole
		return true
	}
	for _, user := range s.page.Users {
		if user.CreatedAt.IsZero() || c.WindowUnit == store.UnitNone || within(user, c.WindowFrom, c.WindowTo, resolution) {
			continue
		}
		if c.WindowUnit == store.UnitDay || !within(user, c.WindowFrom, c.WindowTo, day) {
			c.WindowUnit = store.UnitNone
		} else {
			c.WindowUnit = store.UnitDay
		}
		return true
	}
	return false
}

// within says whether the user was created in the window, where VOMO looks at units of time alone.
func within(user vomo.User, from, to *time.Time, unit time.Duration) bool {
	if from != nil && user.CreatedAt.Before(from.Truncate(unit)) {
		return false
	}
	if to == nil {
		return true
	}
	last := to.Add(-resolution).Truncate(unit)
	return user.CreatedAt.Before(last.Add(unit))
}

// openCoarser begins anew at the boundary that the window lies behind, or at the beginning where the whole set
// has become one window.
func (s *stepper) openCoarser(ctx context.Context) error {
	c := &s.step.Cursor
	if c.WindowUnit == store.UnitNone || c.WindowFrom == nil {
		return s.open(ctx, nil)
	}
	from := c.WindowFrom.Truncate(unitOf(*c))
	return s.open(ctx, &from)
}

// read begins to read a window that cannot be halved, from its first page, as a reading of its own.
func (s *stepper) read() {
	c := &s.step.Cursor
	c.WindowReading, c.WindowTotal, c.NextPage = true, nil, 1
	c.Pass++
	s.step.Moved = true
}

// reading takes in a page of such a reading. A total that changes means that people moved under it.
func (s *stepper) reading(ctx context.Context) error {
	c := &s.step.Cursor
	total := int64(s.page.Total)
	if s.vanished() && c.WindowTotal != nil {
		total = *c.WindowTotal // as the pages before it counted
	}
	if total < 0 || (c.WindowTotal != nil && *c.WindowTotal != total) {
		return s.again(ctx)
	}
	c.WindowTotal = &total
	if s.page.More && s.page.Number >= c.FurthestPage+stalePages { // a part that is longer than the whole goes round
		return s.again(ctx)
	}
	if s.page.More {
		c.NextPage = s.page.Number + 1
		return nil
	}
	met, err := s.notes.CountSeenIn(ctx, s.scan, c.Pass)
	if err != nil {
		return err
	}
	if met == total {
		return s.settle(ctx, true)
	}
	return s.again(ctx)
}

// again counts or reads the window once more, for as long as there is hope.
func (s *stepper) again(ctx context.Context) error {
	c := &s.step.Cursor
	c.WindowTries++
	if c.WindowTries >= windowTries || (c.WindowUnit == store.UnitNone && c.WindowTries >= wholeTries) {
		return s.settle(ctx, false)
	}
	if c.WindowReading {
		s.read()
	}
	s.step.Moved = true
	return nil
}

// settle is done with a window and goes on with the next one.
func (s *stepper) settle(ctx context.Context, agreed bool) error {
	c := &s.step.Cursor
	if !agreed {
		c.Unsettled++
	}
	if c.WindowTo == nil || c.Unsettled >= unsettledWindows {
		s.step.Done, s.step.Verified = true, c.Unsettled == 0
		return nil
	}
	return s.open(ctx, c.WindowTo)
}
