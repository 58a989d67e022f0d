package vomo

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Filter selects users of a list: all its parts must match. The zero value selects all users.
type Filter struct {
	NameLike  string // part of the full name, in any case
	EmailLike string // part of the email, in any case

	// Both ends are included. A zero time is no limit.
	CreatedAfter, CreatedBefore time.Time
	UpdatedAfter, UpdatedBefore time.Time
}

// Active reports whether the filter has a part.
func (f Filter) Active() bool {
	return f.text() || !f.CreatedAfter.IsZero() || !f.CreatedBefore.IsZero() || !f.UpdatedAfter.IsZero() || !f.UpdatedBefore.IsZero()
}

func (f Filter) text() bool { return f.NameLike != "" || f.EmailLike != "" }

func (f Filter) times(r row) bool {
	return within(r.created, f.CreatedAfter, f.CreatedBefore) && within(r.updated, f.UpdatedAfter, f.UpdatedBefore)
}

func (f Filter) matches(p Person) bool {
	if f.NameLike != "" && !contains(p.FullName(), f.NameLike) {
		return false
	}
	return f.EmailLike == "" || p.Email != nil && contains(*p.Email, f.EmailLike)
}

func within(unix int64, from, to time.Time) bool {
	if !from.IsZero() {
		first := from.Unix()
		if from.Nanosecond() > 0 {
			first++ // whole seconds after a fraction begin with the next one
		}
		if unix < first {
			return false
		}
	}
	return to.IsZero() || unix <= to.Unix()
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// Order is the order of a list of users.
type Order string

// The orders: by rising id; by falling id; by time of update, and by id among users of one second. In the last, an edited
// user moves to the end, also while a client reads the list.
const (
	ByID        Order = "id"
	NewestFirst Order = "newest"
	ByUpdate    Order = "updated"
)

func (o Order) valid() bool { return o == ByID || o == NewestFirst || o == ByUpdate }

// ordered returns the row at a position of the list without filters.
func (o *Organisation) ordered(i int) row {
	switch o.config.Order {
	case NewestFirst:
		return o.rows[len(o.rows)-1-i]
	case ByUpdate:
		return o.byUpdate[i]
	default:
		return o.rows[i]
	}
}

func compareUpdates(a, b row) int {
	return cmp.Or(cmp.Compare(a.updated, b.updated), cmp.Compare(a.id, b.id))
}

// sortByUpdate builds byUpdate from the rows.
func (o *Organisation) sortByUpdate() {
	if o.config.Order == ByUpdate {
		o.byUpdate = slices.SortedFunc(slices.Values(o.rows), compareUpdates)
	}
}

// enter puts a row into byUpdate, and leave removes it. byUpdate is always sorted, so a page costs the same as in the
// other orders.
func (o *Organisation) enter(r row) {
	if o.config.Order == ByUpdate {
		i, _ := slices.BinarySearchFunc(o.byUpdate, r, compareUpdates)
		o.byUpdate = slices.Insert(o.byUpdate, i, r)
	}
}

func (o *Organisation) leave(r row) {
	if o.config.Order == ByUpdate {
		if i, found := slices.BinarySearchFunc(o.byUpdate, r, compareUpdates); found {
			o.byUpdate = slices.Delete(o.byUpdate, i, i+1)
		}
	}
}
