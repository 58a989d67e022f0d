package organisation

import (
	"cmp"
	"slices"
)

// Order is the order of a list of users.
type Order string

// Users stand by rising id, with the latest in front, or with the longest unchanged in front, and by id among
// those of one second. In the last, an edited user moves to the end, also while a client reads.
const (
	ByID        Order = "id"
	NewestFirst Order = "newest"
	ByUpdate    Order = "updated"
)

func (o Order) valid() bool { return o == ByID || o == NewestFirst || o == ByUpdate }

// ordered is the row at a position of the list without filters.
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

// sortByUpdate makes byUpdate anew from the rows.
func (o *Organisation) sortByUpdate() {
	if o.config.Order == ByUpdate {
		o.byUpdate = slices.SortedFunc(slices.Values(o.rows), compareUpdates)
	}
}

// enter gives a row its place among the updates, and leave takes it away. Between the changes the list stands
// sorted: a page costs what it costs in the other orders.
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
