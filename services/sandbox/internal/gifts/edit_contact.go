package gifts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/services/sandbox/internal/vomo"
)

// ContactEdit is what /control changes in a contact. A nil pointer changes nothing.
type ContactEdit struct {
	Name       *string     `json:"name"`
	FirstName  *string     `json:"firstName"`
	MiddleName *string     `json:"middleName"`
	Gender     *string     `json:"gender"`
	LastName   *string     `json:"lastName"`
	Email      *string     `json:"email"` // of the first individual; "" removes it
	Phone      *string     `json:"phone"`
	Address1   *string     `json:"address1"`
	Private    *bool       `json:"isPrivate"`
	Archived   *bool       `json:"isArchived"`
	MergedInto *int64      `json:"mergedIntoContactId"` // any contact, or 0: a circle is possible
	References []Reference `json:"references"`
	Tags       []string    `json:"tags"`

	Modified *time.Time `json:"modifiedAt"` // missing: now
}

// AddContact adds a contact by hand. A person without a name is invented.
func (o *Organisation) AddContact(now time.Time, source string, person Person) *Contact {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	if person.Name == "" && person.FirstName == "" && person.LastName == "" {
		return o.contact(o.inventedContact(now))
	}
	return o.newContact(now, source, person, byHand)
}

// inventedContact adds a person who does not exist and returns the contact's id.
func (o *Organisation) inventedContact(now time.Time) int64 {
	invented := (&vomo.Generator{Seed: o.s.Seed}).At(o.s.Next.Contact)
	person := Person{FirstName: invented.FirstName, LastName: invented.LastName}
	if invented.Email != nil {
		person.Email = *invented.Email
	}
	if invented.Phone != nil {
		person.Phone = *invented.Phone
	}
	return o.newContact(now, "", person, byHand).ID
}

// EditContact changes a contact. Errors: ErrUnknown.
func (o *Organisation) EditContact(now time.Time, id int64, edit ContactEdit) (*Contact, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	before, err := o.known(id)
	if err != nil {
		return nil, err
	}
	if edit.MergedInto != nil && *edit.MergedInto != 0 {
		if _, err := o.known(*edit.MergedInto); err != nil {
			return nil, err
		}
	}
	after := *before
	after.People = slices.Clone(before.People)
	after.Addresses = slices.Clone(before.Addresses)
	set(&after.Name, edit.Name)
	set(&after.Private, edit.Private)
	set(&after.Archived, edit.Archived)
	set(&after.MergedInto, edit.MergedInto)
	if edit.References != nil {
		after.References = slices.Clone(edit.References)
	}
	if edit.Tags != nil {
		after.Tags = slices.Clone(edit.Tags)
	}
	if len(after.Addresses) > 0 {
		set(&after.Addresses[0].Line1, edit.Address1)
	}
	o.editPerson(&after.People[0], edit)
	stored := o.replaceContact(now, &after, edit.Modified, byHand)
	stored.People[0].Modified = stored.Modified // the lock is still held: no reader has this version yet
	return stored, nil
}

func (o *Organisation) editPerson(p *Individual, edit ContactEdit) {
	set(&p.FirstName, edit.FirstName)
	set(&p.Middle, edit.MiddleName)
	set(&p.Gender, edit.Gender)
	set(&p.LastName, edit.LastName)
	p.Methods = slices.Clone(p.Methods)
	for kind, value := range map[string]*string{"Email": edit.Email, "Phone": edit.Phone} {
		if value == nil {
			continue
		}
		i := slices.IndexFunc(p.Methods, func(m Method) bool { return strings.Contains(m.Type, kind) })
		switch {
		case i >= 0 && *value == "":
			p.Methods = slices.Delete(p.Methods, i, i+1)
		case i >= 0:
			p.Methods[i].Value = *value
		case *value != "":
			p.Methods = append(p.Methods, Method{ID: o.s.Next.Method, Type: "Home " + kind, Value: *value})
			o.s.Next.Method++
		}
	}
}

// Merge says how one contact becomes a part of another one. Nothing public says whether Virtuous moves the gifts, and
// whether each moved gift is an event.
type Merge struct {
	Loser       int64 `json:"loser"`
	Survivor    int64 `json:"survivor"`
	KeepGifts   bool  `json:"keepGifts"`   // the loser's gifts stay with the loser
	GiftUpdates bool  `json:"giftUpdates"` // a moved gift is a GiftUpdate with a new time
}

// MergeContacts merges two contacts: the loser points to the survivor, is archived and loses its references to it. Both are
// events. Errors: ErrUnknown; ErrInvalid for a contact and itself.
func (o *Organisation) MergeContacts(now time.Time, merge Merge) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	loser, err := o.known(merge.Loser)
	if err != nil {
		return err
	}
	survivor, err := o.known(merge.Survivor)
	if err != nil {
		return err
	}
	if loser.ID == survivor.ID {
		return fmt.Errorf("merge of contact %d with itself: %w", loser.ID, ErrInvalid)
	}
	lost, kept := *loser, *survivor
	lost.MergedInto, lost.Archived, lost.References = survivor.ID, true, nil
	kept.References = append(slices.Clone(survivor.References), loser.References...)
	o.replaceContact(now, &lost, nil, byHand)
	o.replaceContact(now, &kept, nil, byHand)
	if merge.KeepGifts {
		return nil
	}
	for _, id := range slices.Clone(o.giftsOf[loser.ID]) {
		gift := o.gift(id)
		if gift.ContactID != loser.ID || gift.Deleted {
			continue
		}
		moved := *gift
		moved.ContactID = survivor.ID
		if merge.GiftUpdates {
			o.replace(now, &moved, nil, GiftUpdate)
		} else {
			o.replace(now, &moved, &gift.Modified, "") // no one notices but a reader
		}
	}
	return nil
}
