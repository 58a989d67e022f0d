package gifts

import (
	"slices"
	"time"
)

// Events that are delivered.
const (
	GiftCreate    = "GiftCreate"
	GiftUpdate    = "GiftUpdate"
	GiftDelete    = "GiftDelete"
	ContactCreate = "ContactCreate"
	ContactUpdate = "ContactUpdate"
)

// maxFates is how many events the ledger remembers.
const maxFates = 500_000

// Event is one change of one record, for the subscriptions that were active when it happened.
type Event struct {
	Number        uint64    `json:"number"`
	What          string    `json:"what"`
	At            time.Time `json:"at"`
	Gift          *Gift     `json:"gift,omitempty"`
	Contact       *Contact  `json:"contact,omitempty"`
	Subscriptions []int64   `json:"subscriptions"`
}

// Key names the event's record and version. It does not depend on ids that the order of requests decides, if the record
// came from a transaction.
func (e *Event) Key() string {
	if e.Gift != nil {
		return e.What + " " + e.Gift.key()
	}
	return e.What + " " + e.Contact.key()
}

// Draw returns a number from 0 to below 1 that depends on the seed, the word and the event's key.
func (e *Event) Draw(seed uint64, word string) float64 { return drawn(seed, word, e.Key()) }

// Drawn returns a number from 0 to below 1 that depends on the seed and the words.
func Drawn(seed uint64, words ...string) float64 { return drawn(seed, words...) }

// RecordID returns the id of the event's record.
func (e *Event) RecordID() int64 {
	if e.Gift != nil {
		return e.Gift.ID
	}
	return e.Contact.ID
}

// Fate is what became of an event.
type Fate struct {
	Number        uint64    `json:"number"`
	What          string    `json:"event"`
	At            time.Time `json:"at"`
	RecordID      int64     `json:"recordId"`
	Version       int       `json:"version"`
	Source        string    `json:"source,omitempty"`
	TransactionID string    `json:"transactionId,omitempty"`
	Lost          bool      `json:"lost"`      // drawn to be lost: never sent
	Copies        int       `json:"copies"`    // deliveries that it was put into
	Delivered     int       `json:"delivered"` // of these answered with 2xx
	Failed        int       `json:"failed"`    // of these given up after all attempts
}

// emit queues an event for the active subscriptions that want it. An event that none wants leaves no trace.
func (o *Organisation) emit(what string, at time.Time, gift *Gift, contact *Contact) {
	var wanted []int64
	for _, s := range o.s.Subscriptions {
		if s.Active && s.wants(what) {
			wanted = append(wanted, s.ID)
		}
	}
	if len(wanted) == 0 {
		return
	}
	event := &Event{Number: o.s.Next.Event, What: what, At: at, Gift: gift, Contact: contact, Subscriptions: wanted}
	o.s.Next.Event++
	o.s.Events = append(o.s.Events, event)
	o.noteFate(event)
}

func (o *Organisation) noteFate(event *Event) {
	fate := &Fate{Number: event.Number, What: event.What, At: event.At, RecordID: event.RecordID()}
	if event.Gift != nil {
		fate.Version, fate.Source, fate.TransactionID = event.Gift.Version, event.Gift.Source, event.Gift.TransactionID
	} else {
		fate.Version = event.Contact.Version
	}
	if len(o.fates) >= maxFates {
		delete(o.fateOf, o.fates[0].Number)
		o.fates = o.fates[1:]
	}
	o.fates = append(o.fates, fate)
	o.fateOf[fate.Number] = fate
}

// HasEvents reports whether events wait for their delivery.
func (o *Organisation) HasEvents() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return len(o.s.Events) > 0
}

// TakeEvents returns the events that wait, in order, and forgets them.
func (o *Organisation) TakeEvents() []*Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.s.Events
	if len(taken) > 0 {
		o.s.Events = []*Event{}
		o.changes++
	}
	return taken
}

// Mark changes what the ledger says about events.
func (o *Organisation) Mark(numbers []uint64, change func(*Fate)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, number := range numbers {
		if fate := o.fateOf[number]; fate != nil {
			change(fate)
		}
	}
}

// Fates returns copies of what became of the events, in order.
func (o *Organisation) Fates() []*Fate {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copies(o.fates)
}

// Subscription is a webhook subscription.
type Subscription struct {
	ID         int64           `json:"id"`
	PayloadURL string          `json:"payloadUrl"`
	Secret     string          `json:"secret"`
	Active     bool            `json:"active"`
	Toggles    map[string]bool `json:"toggles"` // giftCreate and so on
}

// Toggles returns the names of the events that a subscription may ask for.
func Toggles() []string {
	return []string{
		"contactCreate", "contactUpdate", "contactNoteCreate", "contactNoteUpdate", "contactNoteDelete", "giftCreate", "giftUpdate",
		"giftDelete", "projectCreate", "projectUpdate", "projectDelete", "formSubmission", "eventCreate", "eventUpdate", "eventDelete",
	}
}

func (s *Subscription) wants(what string) bool {
	i := slices.Index([]string{GiftCreate, GiftUpdate, GiftDelete, ContactCreate, ContactUpdate}, what)
	return i >= 0 && s.Toggles[[]string{"giftCreate", "giftUpdate", "giftDelete", "contactCreate", "contactUpdate"}[i]]
}

// Subscribe adds a subscription, or replaces the one that has the id. It returns nil if there is none with the id.
func (o *Organisation) Subscribe(s Subscription) *Subscription {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changes++
	if s.ID == 0 {
		s.ID = o.s.Next.Subscription
		o.s.Next.Subscription++
		o.s.Subscriptions = append(o.s.Subscriptions, &s)
		return &s
	}
	for i, before := range o.s.Subscriptions {
		if before.ID == s.ID {
			o.s.Subscriptions[i] = &s
			return &s
		}
	}
	return nil
}

// Unsubscribe deletes a subscription and reports whether there was one.
func (o *Organisation) Unsubscribe(id int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.s.Subscriptions)
	o.s.Subscriptions = slices.DeleteFunc(o.s.Subscriptions, func(s *Subscription) bool { return s.ID == id })
	o.changes++
	return len(o.s.Subscriptions) < before
}

// Subscription returns a copy of a subscription, or nil.
func (o *Organisation) Subscription(id int64) *Subscription {
	for _, s := range o.Subscriptions() {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Subscriptions returns copies of all subscriptions.
func (o *Organisation) Subscriptions() []*Subscription {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copies(o.s.Subscriptions)
}
