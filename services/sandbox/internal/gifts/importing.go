package gifts

import (
	"fmt"
	"slices"
	"time"
)

// due reports whether a midnight or an import is due.
func (o *Organisation) due(now time.Time) bool {
	if o.held > 0 && !o.midnightAfter(o.s.Bundled).After(now) {
		return true
	}
	next := o.nextImport()
	return next != nil && !next.DueAt.After(now)
}

// advance makes everything happen that is due, in the order of the times at which it was due.
func (o *Organisation) advance(now time.Time) {
	if now.Before(o.s.Bundled) {
		o.s.Bundled = now // a clock that moved back has its midnights again
	}
	for {
		held := o.held > 0
		next := o.nextImport()
		midnight := o.midnightAfter(o.s.Bundled)
		switch {
		case next != nil && !next.DueAt.After(now) && !(held && next.DueAt.After(midnight)):
			o.run(next, *next.DueAt, now)
		case held && !midnight.After(now):
			o.bundle(midnight, "")
			o.s.Bundled = midnight
		default:
			if !held && now.After(o.s.Bundled) {
				o.s.Bundled = now // an empty midnight leaves no trace
			}
			return
		}
	}
}

// move changes the state of a transaction.
func (o *Organisation) move(t *Transaction, state string) {
	if t.State == Held {
		o.held--
	}
	t.State = state
}

func (o *Organisation) midnightAfter(at time.Time) time.Time {
	year, month, day := at.In(o.zone).Date()
	midnight := time.Date(year, month, day+1, 0, 0, 0, 0, o.zone)
	for midnight.Day() == day { // clocks that are put forward at midnight have none: the day begins at one
		midnight = midnight.Add(time.Hour)
	}
	return midnight
}

// nextImport returns the import that is to run first by itself, or nil.
func (o *Organisation) nextImport() *Import {
	var next *Import
	for _, i := range o.s.Imports {
		if i.RanAt == nil && i.DueAt != nil && (next == nil || i.DueAt.Before(*next.DueAt)) {
			next = i
		}
	}
	return next
}

// bundle puts the held transactions into imports, one for each source. Of a source alone if one is named.
func (o *Organisation) bundle(at time.Time, source string) []*Import {
	var made []*Import
	bySource := make(map[reference]*Import)
	for _, t := range o.s.Transactions {
		if t.State != Held || source != "" && referenceTo(source, "") != referenceTo(t.Source, "") {
			continue
		}
		i := bySource[referenceTo(t.Source, "")]
		if i == nil {
			i = &Import{
				ID: o.s.Next.Import, Source: t.Source, CreatedAt: at.UTC(),
				// The import that is made at midnight carries the day that has just ended.
				Name: t.Source + " " + at.Add(-time.Second).In(o.zone).Format(Day),
			}
			o.s.Next.Import++
			if o.s.Settings.Imports == ImportsAuto {
				due := at.Add(time.Duration(o.s.Settings.RunAfterMinutes) * time.Minute).UTC()
				i.DueAt = &due
			}
			bySource[referenceTo(t.Source, "")] = i
			o.s.Imports = append(o.s.Imports, i)
			made = append(made, i)
		}
		t.ImportID = i.ID
		o.move(t, Bundled)
		i.Size++
	}
	o.changes++
	return made
}

// run makes gifts of an import's transactions, except of those that need a person. It began at a time, and has ended now.
func (o *Organisation) run(i *Import, at, now time.Time) {
	ran := at.UTC()
	i.RanAt = &ran
	for _, t := range o.s.Transactions {
		if t.State != Bundled || t.ImportID != i.ID {
			continue
		}
		if t.Reason == "" && o.draw("needs update", t.Source, t.ID)*100 < o.s.Settings.NeedsUpdatePercent {
			t.Reason = "match_needed"
		}
		if t.Reason != "" {
			o.move(t, NeedsUpdate)
			continue
		}
		// A run takes a moment, so its gifts do not all have the same time.
		moment := at.Add(time.Duration(o.draw("moment of the run", t.Source, t.ID) * float64(time.Second)))
		if moment.After(now) {
			moment = now
		}
		o.importOne(moment, t, o.match(t.Source, t.Person), i.Name)
	}
	o.changes++
}

// importContact makes the contact of a transaction, or updates the one that it matched. The update is an event, also if nothing but its time changed.
func (o *Organisation) importContact(at time.Time, t *Transaction, matched *Contact) {
	var contact *Contact
	if matched == nil {
		contact = o.newContact(at, t.Source, t.Person, byAPI)
	} else if contact = o.completed(at, matched, t); contact == matched {
		same := *matched
		contact = o.replaceContact(at, &same, nil, byAPI)
	}
	o.move(t, Imported)
	t.Reason, t.ContactID = "", contact.ID
}

// importOne makes the gift or contact of a transaction. A gift's contact that is nil is added first.
func (o *Organisation) importOne(at time.Time, t *Transaction, contact *Contact, batch string) {
	if t.Entity == EntityContact {
		o.importContact(at, t, contact)
		return
	}
	if contact == nil {
		contact = o.newContact(at, t.Source, t.Person, byAPI)
	} else {
		contact = o.completed(at, contact, t)
	}
	gift := t.Gift
	gift.ID, gift.ContactID = o.s.Next.Gift, contact.ID
	gift.Designations = slices.Clone(t.Gift.Designations)
	for i := range gift.Designations {
		gift.Designations[i].ID = o.nextDesignation()
	}
	if gift.Batch == "" {
		gift.Batch = batch
	}
	if t.Through != nil {
		through := o.match(t.Source, *t.Through)
		if through == nil {
			through = o.newContact(at, t.Source, *t.Through, byAPI)
		}
		gift.PassthroughID = through.ID
	}
	o.move(t, Imported)
	t.Reason, t.GiftID = "", gift.ID
	o.keepNew(at, &gift, byAPI)
}

// completed adds a reference that the matched contact lacks. That is a ContactUpdate; a match without a change is no event.
func (o *Organisation) completed(at time.Time, contact *Contact, t *Transaction) *Contact {
	wanted := Reference{Source: t.Source, ID: t.Person.ReferenceID}
	if wanted.ID == "" || slices.Contains(contact.References, wanted) || o.referred[referenceTo(wanted.Source, wanted.ID)] == contact.ID {
		return contact
	}
	after := *contact
	after.References = append(slices.Clone(contact.References), wanted)
	return o.replaceContact(at, &after, nil, byAPI)
}

// Bundle acts as if it were midnight now, for one source or for all of them (""), and returns the imports.
func (o *Organisation) Bundle(now time.Time, source string) []*Import {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	made := o.bundle(now, source)
	o.advance(now)
	return copies(made)
}

// RunImports runs the imports that wait, or one of them, as the charity's staff do. Errors: ErrUnknown for an import that does
// not wait.
func (o *Organisation) RunImports(now time.Time, id int64) ([]*Import, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	ran := []*Import{}
	for _, i := range o.s.Imports {
		if i.RanAt == nil && (id == 0 || i.ID == id) {
			o.run(i, now, now)
			ran = append(ran, i)
		}
	}
	if id != 0 && len(ran) == 0 {
		return nil, fmt.Errorf("waiting import %d: %w", id, ErrUnknown)
	}
	return copies(ran), nil
}

// Decision is what a person does with transactions that are no gifts yet.
type Decision struct {
	Source    string   `json:"source"` // "": any source
	IDs       []string `json:"ids"`    //
	ContactID int64    `json:"contactId"`
	Edit      GiftEdit `json:"gift"` // what the person changes in the gift meanwhile
}

// What a person may do.
const (
	Resolve = "resolve" // take the contact that is named, or the one that matches, or else a new one
	Create  = "create"  // add a contact
	Discard = "discard"
)

// Decide applies a decision to each of its transactions, or to none of them. Errors: ErrUnknown for a transaction that does
// not exist or is a gift or discarded already; ErrInvalid.
func (o *Organisation) Decide(now time.Time, what string, decision Decision) ([]*Transaction, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	if decision.ContactID != 0 {
		if _, err := o.known(decision.ContactID); err != nil {
			return nil, err
		}
	}
	found := make([]*Transaction, 0, len(decision.IDs))
	for _, id := range decision.IDs {
		open := o.openTransaction(decision.Source, id)
		if open == nil || slices.Contains(found, open) {
			return nil, fmt.Errorf("open transaction %s: %w", id, ErrUnknown)
		}
		trial := open.Gift
		if err := o.applyTo(open, &trial, decision.Edit); err != nil {
			return nil, err
		}
		found = append(found, open)
	}
	for _, t := range found {
		if err := o.decide(now, what, t, decision); err != nil {
			return nil, err
		}
	}
	return copies(found), nil
}

func (o *Organisation) decide(now time.Time, what string, t *Transaction, decision Decision) error {
	o.changes++
	if what == Discard {
		o.move(t, Discarded)
		return nil
	}
	if err := o.applyTo(t, &t.Gift, decision.Edit); err != nil {
		return err
	}
	var contact *Contact
	if what == Resolve {
		contact = o.contact(decision.ContactID)
		if contact == nil {
			contact = o.match(t.Source, t.Person)
		}
	}
	name := t.Source
	if i := slices.IndexFunc(o.s.Imports, func(i *Import) bool { return i.ID == t.ImportID }); i >= 0 {
		name = o.s.Imports[i].Name
	}
	o.importOne(now, t, contact, name)
	return nil
}

// applyTo applies an edit to what a transaction is to become; a contact's has no gift.
func (o *Organisation) applyTo(t *Transaction, gift *Gift, edit GiftEdit) error {
	if t.Entity == EntityContact {
		return nil
	}
	return o.apply(gift, edit)
}

func (o *Organisation) openTransaction(source, id string) *Transaction {
	isOpen := func(t *Transaction) bool { return t.State != Imported && t.State != Discarded }
	if source != "" {
		for _, key := range []reference{referenceTo(source, id), contactKey(source, id)} {
			if found := o.transactionOf[key]; found != nil && isOpen(found) {
				return found
			}
		}
		return nil
	}
	i := slices.IndexFunc(o.s.Transactions, func(t *Transaction) bool { return t.ID == id && isOpen(t) })
	if i < 0 {
		return nil
	}
	return o.s.Transactions[i]
}
