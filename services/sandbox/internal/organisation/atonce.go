package organisation

import (
	"fmt"
	"maps"
	"slices"

	"rollcall.dev/services/sandbox/internal/person"
)

// Batch makes changes that happen at one instant: a list shows all of them or none. It is only good inside the
// function that AtOnce calls.
type Batch struct{ organisation *Organisation }

// AtOnce makes the changes of a function, which has the organisation to itself meanwhile and must not call its
// methods, but the batch's. An error of the function's is returned, and then nothing has changed.
func (o *Organisation) AtOnce(do func(Batch) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	// A copy of what there was costs little beside what an undoing of every kind of change would cost to get right.
	rows, byUpdate := slices.Clone(o.rows), slices.Clone(o.byUpdate)
	edited, emails := maps.Clone(o.edited), maps.Clone(o.emails)
	nextID, changes := o.nextID, o.changes
	err := do(Batch{organisation: o})
	if err != nil {
		o.rows, o.byUpdate, o.edited, o.emails, o.nextID, o.changes = rows, byUpdate, edited, emails, nextID, changes
	}
	return err
}

// Edit is the organisation's Edit.
func (b Batch) Edit(id int64, change func(*person.Person)) (person.Person, error) {
	return b.organisation.edit(id, change)
}

// Enrol is the organisation's Enrol.
func (b Batch) Enrol(change func(*person.Person)) (person.Person, error) {
	return b.organisation.enrol(change)
}

// Remove deletes users. Errors: ErrUnknown for an id that no user has, or that is named twice.
func (b Batch) Remove(ids []int64) error {
	for _, id := range ids {
		if !b.organisation.remove(id) {
			return fmt.Errorf("user %d: %w", id, ErrUnknown)
		}
	}
	return nil
}
