// Package gifts holds the organisations of the sandbox's Virtuous CRM+: transactions, imports, gifts, contacts, projects,
// webhook subscriptions and the events that they cause.
//
// It promises that the same requests with the same seed lead to the same state, whatever the order of the requests: each
// chance is drawn from the seed and the record's own ids. A change never happens in place, so a reader keeps what it has.
// Midnights and imports happen by the clock that each call passes: a clock that jumps over three midnights causes all
// three, in order, each at its own time. It does not know HTTP, and how an event is delivered.
package gifts

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Counters are the next ids.
type Counters struct {
	Gift         int64  `json:"gift"`
	Contact      int64  `json:"contact"`
	Individual   int64  `json:"individual"`
	Method       int64  `json:"method"`
	Address      int64  `json:"address"`
	Designation  int64  `json:"designation"`
	Project      int64  `json:"project"`
	Import       int64  `json:"import"`
	Subscription int64  `json:"subscription"`
	Event        uint64 `json:"event"`
}

// Key states.
const (
	KeyGood      = "good"
	KeyRevoked   = "revoked"   // 401
	KeyForbidden = "forbidden" // 403
)

// Snapshot is the whole state of an organisation, also in the state file.
type Snapshot struct {
	Name     string   `json:"name"`
	ID       int64    `json:"id"` // organizationId
	Key      string   `json:"key"`
	KeyState string   `json:"keyState"`
	OAuth    *OAuth   `json:"oauth,omitempty"` // nil: none was asked for
	Seed     uint64   `json:"seed"`
	Settings Settings `json:"settings"`
	Next     Counters `json:"next"`

	Bundled time.Time `json:"bundled"` // midnights until then have passed

	Projects      []*Project      `json:"projects"`
	Contacts      []*Contact      `json:"contacts"`
	Gifts         []*Gift         `json:"gifts"`
	Transactions  []*Transaction  `json:"transactions"` // in the order of arrival
	Imports       []*Import       `json:"imports"`
	Subscriptions []*Subscription `json:"subscriptions"`
	Events        []*Event        `json:"events"` // that were not delivered yet
}

// Organisation is one organisation of Virtuous. It may be used by many goroutines at once.
type Organisation struct {
	mu      sync.RWMutex
	s       Snapshot
	zone    *time.Location
	changes uint64
	held    int // transactions in the state Held
	fates   []*Fate
	fateOf  map[uint64]*Fate

	transactionOf map[reference]*Transaction
	giftOf        map[reference]int64 // gift ids
	referred      map[reference]int64 // contact ids
	byMethod      map[string][]int64  // contact ids
	byAddress     map[string][]int64
	giftsOf       map[int64][]int64 // gift ids by contact, also of gifts that moved on
}

// reference is a source in small letters and an id: databases of this kind ignore the letter case of a source.
type reference struct{ source, id string }

func referenceTo(source, id string) reference { return reference{strings.ToLower(source), id} }

// newOrganisation makes an organisation of a complete snapshot.
func newOrganisation(s Snapshot) (*Organisation, error) {
	if err := s.Settings.check(); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(s.Settings.Zone)
	if err != nil {
		return nil, err //nolint:wrapcheck // the settings were checked
	}
	o := &Organisation{
		s: s, zone: zone, fateOf: make(map[uint64]*Fate),
		transactionOf: make(map[reference]*Transaction), giftOf: make(map[reference]int64), referred: make(map[reference]int64),
		byMethod: make(map[string][]int64), byAddress: make(map[string][]int64), giftsOf: make(map[int64][]int64),
	}
	for _, t := range s.Transactions {
		o.transactionOf[t.key()] = t
		if t.State == Held {
			o.held++
		}
	}
	for _, g := range s.Gifts {
		if g.TransactionID != "" {
			o.giftOf[referenceTo(g.Source, g.TransactionID)] = g.ID
		}
		o.giveTo(g.ContactID, g)
	}
	for _, c := range s.Contacts {
		o.indexContact(c)
	}
	for _, event := range s.Events {
		o.noteFate(event)
	}
	return o, nil
}

// firstState returns the snapshot of a new organisation.
func firstState(config Config, id int64, now time.Time) Snapshot {
	s := Snapshot{
		Name: config.Name, ID: id, Key: config.Key, KeyState: KeyGood, Seed: config.Seed, Settings: config.Settings, Bundled: now,
		Next: Counters{
			Gift: 88_101, Contact: 5_120, Individual: 7_001, Method: 3_001, Address: 801, Designation: 988_101, Project: 9, Import: 1,
			Subscription: 31, Event: 1,
		},
		Contacts: []*Contact{}, Gifts: []*Gift{}, Transactions: []*Transaction{}, Imports: []*Import{},
		Subscriptions: []*Subscription{}, Events: []*Event{},
	}
	for _, project := range []Project{
		{Code: "CLEAN-WATER", Name: "Clean Water", Active: true}, {Code: "SCHOOL-MEALS", Name: "School Meals", Active: true},
		{Code: "GENERAL", Name: "General Fund", Active: true}, {Code: "OLD-BARN", Name: "Old Barn", Active: false},
	} {
		project.ID, project.Created, project.Modified = s.Next.Project, now.UTC().Truncate(time.Second), now.UTC().Truncate(time.Second)
		s.Next.Project++
		s.Projects = append(s.Projects, &project)
	}
	return s
}

// Identity is what a request needs to know of an organisation.
type Identity struct {
	Name     string
	ID       int64
	Key      string
	KeyState string
	Seed     uint64
	Settings Settings
}

// Identity returns the organisation's name, key and settings.
func (o *Organisation) Identity() Identity {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return Identity{Name: o.s.Name, ID: o.s.ID, Key: o.s.Key, KeyState: o.s.KeyState, Seed: o.s.Seed, Settings: o.s.Settings}
}

// Zone returns the organisation's time zone.
func (o *Organisation) Zone() *time.Location {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.zone
}

// Configure changes the settings. Errors: ErrInvalid.
func (o *Organisation) Configure(now time.Time, settings Settings) error {
	if err := settings.check(); err != nil {
		return err
	}
	zone, err := time.LoadLocation(settings.Zone)
	if err != nil {
		return err //nolint:wrapcheck // the settings were checked
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now) // what was due before is done as the settings were before
	o.s.Settings, o.zone = settings, zone
	o.changes++
	return nil
}

// Advance makes everything happen that is due by now.
func (o *Organisation) Advance(now time.Time) {
	o.mu.RLock()
	due := o.due(now)
	o.mu.RUnlock()
	if due {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.advance(now)
	}
}

// snapshot returns the state. The records in it never change, except the transactions, imports and subscriptions,
// which are copied.
func (o *Organisation) snapshot() Snapshot {
	o.mu.RLock()
	defer o.mu.RUnlock()
	s := o.s
	s.Projects, s.Contacts, s.Gifts = slices.Clone(s.Projects), slices.Clone(s.Contacts), slices.Clone(s.Gifts)
	s.Transactions, s.Imports, s.Subscriptions = copies(s.Transactions), copies(s.Imports), copies(s.Subscriptions)
	s.Events = slices.Clone(s.Events)
	return s
}

func copies[T any](list []*T) []*T {
	made := make([]*T, len(list))
	for i, one := range list {
		copied := *one
		made[i] = &copied
	}
	return made
}
