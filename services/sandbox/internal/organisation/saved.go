package organisation

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"rollcall.dev/services/sandbox/internal/person"
)

// Span is a run of ids. To does not belong to it.
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Standing is what an organisation is besides its config and its edited people: all the rest can be invented
// again.
type Standing struct {
	NextID  int64  `json:"nextId"`
	Removed []Span `json:"removed"` // by rising id
}

// Standing returns who was removed and which id comes next. Read after Edited, it goes with what that yielded:
// users that were added in between are taken for removed.
func (o *Organisation) Standing() Standing {
	o.mu.RLock()
	defer o.mu.RUnlock()
	standing, next := Standing{NextID: o.nextID}, person.FirstID
	for _, r := range o.rows {
		if r.id > next {
			standing.Removed = append(standing.Removed, Span{From: next, To: r.id})
		}
		next = r.id + 1
	}
	if o.nextID > next {
		standing.Removed = append(standing.Removed, Span{From: next, To: o.nextID})
	}
	return standing
}

// Edited yields the people who are no longer, or never were, as invented, in no order. It does not hold the
// organisation up meanwhile: who is edited or removed while it runs may or may not be met.
func (o *Organisation) Edited() iter.Seq[person.Person] {
	const atOnce = 256
	return func(yield func(person.Person) bool) {
		o.mu.RLock()
		ids := slices.AppendSeq(make([]int64, 0, len(o.edited)), maps.Keys(o.edited))
		o.mu.RUnlock()
		for chunk := range slices.Chunk(ids, atOnce) {
			for _, user := range o.editedOf(chunk) {
				if !yield(user) {
					return
				}
			}
		}
	}
}

func (o *Organisation) editedOf(ids []int64) []person.Person {
	o.mu.RLock()
	defer o.mu.RUnlock()
	users := make([]person.Person, 0, len(ids))
	for _, id := range ids {
		if user, found := o.edited[id]; found {
			users = append(users, user)
		}
	}
	return users
}

// AddSaved adds an organisation as it was when it was saved. Errors: those of Add.
func (d *Directory) AddSaved(config Config, revoked bool, standing Standing, edited []person.Person) error {
	made, err := d.Add(config)
	if err != nil {
		return err
	}
	if revoked {
		d.Revoke(config.Name)
	}
	return made.restore(standing, edited)
}

func (o *Organisation) restore(standing Standing, edited []person.Person) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	edited = slices.SortedFunc(slices.Values(edited), func(a, b person.Person) int { return cmp.Compare(a.ID, b.ID) })
	for i, user := range edited {
		if user.ID < person.FirstID || user.ID >= standing.NextID || i > 0 && user.ID == edited[i-1].ID {
			return fmt.Errorf("ids of %s: %w", o.config.Name, ErrInvalid)
		}
		if user.ID >= o.nextID { // added, not invented
			o.rows = append(o.rows, row{id: user.ID})
		}
	}
	if standing.NextID < o.nextID {
		return fmt.Errorf("next id of %s: %w", o.config.Name, ErrInvalid)
	}
	o.nextID = standing.NextID
	o.rows = slices.DeleteFunc(o.rows, func(r row) bool {
		at, starts := slices.BinarySearchFunc(standing.Removed, r.id, func(s Span, id int64) int { return cmp.Compare(s.From, id) })
		return starts || at > 0 && r.id < standing.Removed[at-1].To
	})
	for _, user := range edited {
		if _, isHere := o.at(user.ID); isHere {
			o.keep(user)
		}
	}
	o.sortByUpdate() // once: moving every edited user by themselves takes minutes where there are many
	return nil
}

// Changes returns a number that rises with every change to the organisations or their people.
func (d *Directory) Changes() uint64 {
	d.mu.RLock()
	changes := d.changes
	d.mu.RUnlock()
	for _, o := range d.All() {
		o.mu.RLock()
		changes += o.changes
		o.mu.RUnlock()
	}
	return changes
}
