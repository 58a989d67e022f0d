package vomo

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// IDForm is the form of an organisation's ids in JSON.
type IDForm string

// VOMO's documents show both forms. MixedIDs has both in one organisation.
const (
	IntIDs    IDForm = "int"
	StringIDs IDForm = "string"
	MixedIDs  IDForm = "mixed" // odd ids as strings
)

// MaxUsers is the size of the largest organisation.
const MaxUsers = 1_000_000

// Config is what an organisation is made from.
type Config struct {
	Name  string `json:"name"`
	Token string `json:"token"`
	Users int    `json:"users"`
	Seed  uint64 `json:"seed"`
	IDs   IDForm `json:"ids"`
	Order Order  `json:"order"`

	// Imported is how many of the first users share one created second, as after a large import.
	Imported int `json:"imported,omitempty"`
}

// Organisation is one VOMO organisation. It may be used by many goroutines at once.
type Organisation struct {
	config Config
	people Generator

	mu       sync.RWMutex
	rows     []row            // by id, rising
	byUpdate []row            // the same by time of update, if that is the order; else empty
	edited   map[int64]Person // people who differ from the invented ones, or were added; also removed ones
	emails   map[string]int64 // lower-cased emails of the edited who are not removed
	nextID   int64

	changes uint64 // number of changes so far
}

// row holds what a list needs of a person before the person is invented.
type row struct {
	id      int64
	created int64 // unix seconds
	updated int64 // unix seconds
}

// New invents an organisation.
func New(config Config) *Organisation {
	o := &Organisation{
		config: config,
		people: Generator{Seed: config.Seed, Imported: int64(config.Imported)},
		rows:   make([]row, config.Users),
		edited: make(map[int64]Person),
		emails: make(map[string]int64),
		nextID: FirstID + int64(config.Users),
	}
	for i := range o.rows {
		created, updated := o.people.Times(int64(i))
		o.rows[i] = row{id: FirstID + int64(i), created: created.Unix(), updated: updated.Unix()}
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

// WireID returns an id in the organisation's form: an int64 or a string.
func (o *Organisation) WireID(id int64) any {
	if o.config.IDs == StringIDs || o.config.IDs == MixedIDs && id%2 == 1 {
		return strconv.FormatInt(id, 10)
	}
	return id
}

// Find returns the user with an id, and whether there is one.
func (o *Organisation) Find(id int64) (Person, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if _, found := o.indexOf(id); !found {
		return Person{}, false
	}
	return o.person(id), true
}

// Page returns at most limit users that match a filter, from the offset on, and how many users match.
func (o *Organisation) Page(filter Filter, offset, limit int) (users []Person, total int) {
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

// All yields every user, by id. It does not hold the lock meanwhile: a user that is added or removed while it runs may be
// in it or not.
func (o *Organisation) All() iter.Seq[Person] {
	const atOnce = 256
	return func(yield func(Person) bool) {
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

func (o *Organisation) following(after int64, limit int) []Person {
	o.mu.RLock()
	defer o.mu.RUnlock()
	from, _ := o.indexOf(after + 1)
	users := make([]Person, 0, limit)
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

// IDAt returns the id at a position of the list without filters, and whether there is one. Positions begin at 0; negative
// ones count from the end.
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

// Remove deletes a user, as VOMO's staff can, and reports whether there was one.
func (o *Organisation) Remove(id int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.remove(id)
}

func (o *Organisation) remove(id int64) bool {
	i, found := o.indexOf(id)
	if !found {
		return false
	}
	o.forgetEmail(id)
	o.leave(o.rows[i])
	o.rows = slices.Delete(o.rows, i, i+1)
	o.changes++
	return true
}

// Restore brings a deleted user back as it was, with its id and its times, as if VOMO had hidden it for a while. Errors: ErrUnknown
// for an id that no deleted user had; ErrTaken for an email that another user has by now.
func (o *Organisation) Restore(id int64) (Person, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, found := o.indexOf(id); found || id < FirstID || id >= o.nextID {
		return Person{}, fmt.Errorf("deleted user %d: %w", id, ErrUnknown)
	}
	return o.changed(o.person(id), func(*Person) {})
}

func (o *Organisation) indexOf(id int64) (int, bool) {
	return slices.BinarySearchFunc(o.rows, id, func(r row, id int64) int { return cmp.Compare(r.id, id) })
}

func (o *Organisation) person(id int64) Person {
	if edited, found := o.edited[id]; found {
		return edited
	}
	return o.people.At(id - FirstID)
}

func (o *Organisation) forgetEmail(id int64) {
	if edited, found := o.edited[id]; found && edited.Email != nil {
		delete(o.emails, strings.ToLower(*edited.Email))
	}
}

// seconds returns a time as VOMO stores it: in whole seconds.
func seconds(at time.Time) time.Time { return at.UTC().Truncate(time.Second) }
