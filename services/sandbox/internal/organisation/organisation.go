// Package organisation holds the organisations of the sandbox's VOMO: who is in them, and who was changed.
//
// It owns the people (invented by package person, changed by upserts, edits and removals), their order, the filters
// and the upsert by email. It promises that a page without filters costs the same in an organisation of a
// million as in one of ten, and that memory holds 24 bytes a person (twice that in the order of updates) plus
// what was changed. It knows neither HTTP nor tokens' headers.
package organisation

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall.dev/services/sandbox/internal/person"
)

// IDForm says how an organisation's ids look on the wire.
type IDForm string

// The forms that VOMO's own documents show, and both at once.
const (
	IntIDs    IDForm = "int"
	StringIDs IDForm = "string"
	MixedIDs  IDForm = "mixed" // odd ids as strings
)

// MaxUsers is the size of the largest organisation that can be made.
const MaxUsers = 1_000_000

// Config is what an organisation is made from.
type Config struct {
	Name  string `json:"name"`
	Token string `json:"token"`
	Users int    `json:"users"`
	Seed  uint64 `json:"seed"`
	IDs   IDForm `json:"ids"`
	Order Order  `json:"order"`

	// Imported is how many of the first users came in at once: they share one created second.
	Imported int `json:"imported,omitempty"`
}

// Organisation is one VOMO organisation. It may be used by many goroutines at once.
type Organisation struct {
	config Config
	people person.Generator

	mu       sync.RWMutex
	rows     []row                   // by rising id
	byUpdate []row                   // the same by time of update, where that is the order; empty elsewhere
	edited   map[int64]person.Person // people who are no longer, or never were, as invented
	emails   map[string]int64        // lower-cased emails of the edited
	nextID   int64

	changes uint64 // how many there were since it was made
}

// row is what a scan needs of a person without inventing the whole of them.
type row struct {
	id      int64
	created int64 // unix seconds
	updated int64 // unix seconds
}

// New invents an organisation.
func New(config Config) *Organisation {
	o := &Organisation{
		config: config,
		people: person.Generator{Seed: config.Seed, Imported: int64(config.Imported)},
		rows:   make([]row, config.Users),
		edited: make(map[int64]person.Person),
		emails: make(map[string]int64),
		nextID: person.FirstID + int64(config.Users),
	}
	for i := range o.rows {
		created, updated := o.people.Times(int64(i))
		o.rows[i] = row{id: person.FirstID + int64(i), created: created.Unix(), updated: updated.Unix()}
	}
	o.sortByUpdate()
	return o
}

// Config returns what the organisation was made from.
func (o *Organisation) Config() Config { return o.config }

// Count returns how many users there are now.
func (o *Organisation) Count() int {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.rows)
}

// WireID renders an id in the organisation's form: an int64 or a string.
func (o *Organisation) WireID(id int64) any {
	if o.config.IDs == StringIDs || o.config.IDs == MixedIDs && id%2 == 1 {
		return strconv.FormatInt(id, 10)
	}
	return id
}

// Find returns the user with an id, and whether there is one.
func (o *Organisation) Find(id int64) (person.Person, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if _, found := o.at(id); !found {
		return person.Person{}, false
	}
	return o.person(id), true
}

// Page returns the users that a filter lets through from the offset on, at most limit of them, and how many
// it lets through in all.
func (o *Organisation) Page(filter Filter, offset, limit int) (users []person.Person, total int) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if !filter.Active() {
		total = len(o.rows)
		for i := offset; i < min(offset+limit, total); i++ {
			users = append(users, o.person(o.ordered(i).id))
		}
		return users, total
	}
	for i := range o.rows {
		at := o.ordered(i)
		if !filter.times(at) {
			continue
		}
		if filter.text() && !filter.matches(o.person(at.id)) {
			continue
		}
		if total >= offset && total < offset+limit {
			users = append(users, o.person(at.id))
		}
		total++
	}
	return users, total
}

// All yields every user by rising id. It does not hold the organisation up meanwhile: who is added or
// removed while it runs may or may not be met.
func (o *Organisation) All() iter.Seq[person.Person] {
	const atOnce = 256
	return func(yield func(person.Person) bool) {
		for after := int64(0); ; {
			users := o.following(after, atOnce)
			for _, user := range users {
				if !yield(user) {
					return
				}
			}
			if len(users) < atOnce {
				return
			}
			after = users[len(users)-1].ID
		}
	}
}

func (o *Organisation) following(after int64, limit int) []person.Person {
	o.mu.RLock()
	defer o.mu.RUnlock()
	from, _ := o.at(after + 1)
	users := make([]person.Person, 0, limit)
	for _, r := range o.rows[from:min(from+limit, len(o.rows))] {
		users = append(users, o.person(r.id))
	}
	return users
}

// IDs returns the ids of all users, rising.
func (o *Organisation) IDs() []int64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	ids := make([]int64, len(o.rows))
	for i, r := range o.rows {
		ids[i] = r.id
	}
	return ids
}

// IDAt returns the id at a position of the list without filters, from 0, or from its end when negative, and
// whether there is one.
func (o *Organisation) IDAt(position int) (int64, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if position < 0 {
		position += len(o.rows)
	}
	if position < 0 || position >= len(o.rows) {
		return 0, false
	}
	return o.ordered(position).id, true
}

// Remove deletes a user, as VOMO's own staff can, and reports whether there was one.
func (o *Organisation) Remove(id int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.remove(id)
}

func (o *Organisation) remove(id int64) bool {
	i, found := o.at(id)
	if !found {
		return false
	}
	o.forget(id)
	o.leave(o.rows[i])
	o.rows = slices.Delete(o.rows, i, i+1)
	o.changes++
	return true
}

func (o *Organisation) at(id int64) (int, bool) {
	return slices.BinarySearchFunc(o.rows, id, func(r row, id int64) int { return cmp.Compare(r.id, id) })
}

func (o *Organisation) person(id int64) person.Person {
	if edited, found := o.edited[id]; found {
		return edited
	}
	return o.people.At(id - person.FirstID)
}

func (o *Organisation) forget(id int64) {
	if edited, found := o.edited[id]; found && edited.Email != nil {
		delete(o.emails, strings.ToLower(*edited.Email))
	}
	delete(o.edited, id)
}

// seconds is the form in which VOMO keeps a time.
func seconds(at time.Time) time.Time { return at.UTC().Truncate(time.Second) }
