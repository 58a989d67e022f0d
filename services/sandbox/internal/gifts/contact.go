package gifts

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Contact is one version of a contact. It never changes: a change makes another version.
type Contact struct {
	ID         int64        `json:"id"`
	Type       string       `json:"contactType"`
	Name       string       `json:"name"`
	Informal   string       `json:"informalName"`
	Private    bool         `json:"isPrivate"`
	Archived   bool         `json:"isArchived"`
	MergedInto int64        `json:"mergedIntoContactId"` // 0: none
	Addresses  []Address    `json:"addresses"`
	People     []Individual `json:"individuals"`
	References []Reference  `json:"references"`
	Tags       []string     `json:"tags"`

	Version    int       `json:"version"`
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"createdBy"`
	Modified   time.Time `json:"modified"`
	ModifiedBy string    `json:"modifiedBy"`
}

// Reference is an outside system's id of a contact.
type Reference struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Address is an address of a contact. The first one is the primary one.
type Address struct {
	ID       int64     `json:"id"`
	Label    string    `json:"label"`
	Line1    string    `json:"address1"`
	Line2    string    `json:"address2"`
	City     string    `json:"city"`
	State    string    `json:"state"`
	Postal   string    `json:"postal"`
	Country  string    `json:"country"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
}

const homeLabel = "Home"

// Individual is a person of a contact. The first one is the primary one.
type Individual struct {
	ID        int64     `json:"id"`
	FirstName string    `json:"firstName"`
	Middle    string    `json:"middleName"`
	LastName  string    `json:"lastName"`
	Gender    string    `json:"gender"`
	Methods   []Method  `json:"methods"`
	Created   time.Time `json:"created"`
	Modified  time.Time `json:"modified"`
}

// Method is an email address or a telephone number.
type Method struct {
	ID      int64  `json:"id"`
	Type    string `json:"type"` // Home Email, Mobile Phone, …
	Value   string `json:"value"`
	OptedIn bool   `json:"isOptedIn"`
}

// Email returns the contact's primary email address, or "".
func (c *Contact) Email() string { return c.method("email") }

// Phone returns the contact's primary telephone number, or "".
func (c *Contact) Phone() string { return c.method("phone") }

func (c *Contact) method(kind string) string {
	for _, person := range c.People {
		for _, method := range person.Methods {
			if strings.Contains(strings.ToLower(method.Type), kind) {
				return method.Value
			}
		}
	}
	return ""
}

// key names the contact's version, by its first reference if there is one.
func (c *Contact) key() string {
	if len(c.References) > 0 {
		return "contact " + c.References[0].Source + "/" + c.References[0].ID + " " + strconv.Itoa(c.Version)
	}
	return "contact " + strconv.FormatInt(c.ID, 10) + " " + strconv.Itoa(c.Version)
}

// Contact returns the newest version of a contact, or nil.
func (o *Organisation) Contact(id int64) *Contact {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.contact(id)
}

func (o *Organisation) contact(id int64) *Contact {
	i, found := slices.BinarySearchFunc(o.s.Contacts, id, func(c *Contact, id int64) int { return cmp.Compare(c.ID, id) })
	if !found {
		return nil
	}
	return o.s.Contacts[i]
}

// Contacts returns all contacts, also the archived ones, by id.
func (o *Organisation) Contacts() []*Contact {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return slices.Clone(o.s.Contacts)
}

// ContactOf returns the contact that has a reference, or nil. The letter case of the source does not matter.
func (o *Organisation) ContactOf(source, id string) *Contact {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.contact(o.referred[referenceTo(source, id)])
}

// Giving is what a contact gave.
type Giving struct {
	Life, Year, Last Amount
	LastDate         string // the organisation's day, or ""
}

// Giving adds up a contact's gifts. Deleted ones do not count.
func (o *Organisation) Giving(contactID int64, now time.Time) Giving {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var given Giving
	year := now.In(o.zone).Format("2006")
	for _, id := range o.giftsOf[contactID] {
		gift := o.gift(id)
		if gift.Deleted || gift.ContactID != contactID {
			continue
		}
		given.Life += gift.Amount
		if strings.HasPrefix(gift.Date, year) {
			given.Year += gift.Amount
		}
		if gift.Amount > 0 && gift.Date >= given.LastDate {
			given.LastDate, given.Last = gift.Date, gift.Amount
		}
	}
	return given
}

func (o *Organisation) giveTo(contactID int64, gift *Gift) {
	if !slices.Contains(o.giftsOf[contactID], gift.ID) {
		o.giftsOf[contactID] = append(o.giftsOf[contactID], gift.ID)
	}
}

// Person is the contact of a transaction, or of a request of /control.
type Person struct {
	ID          int64  `json:"id"`
	ReferenceID string `json:"referenceId"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	FirstName   string `json:"firstName"`
	LastName    string `json:"lastName"`
	EmailType   string `json:"emailType"`
	Email       string `json:"email"`
	PhoneType   string `json:"phoneType"`
	Phone       string `json:"phone"`
	Address1    string `json:"address1"`
	Address2    string `json:"address2"`
	City        string `json:"city"`
	State       string `json:"state"`
	Postal      string `json:"postal"`
	Country     string `json:"country"`
	Tags        string `json:"tags"`
}

// match finds the contact of a person as the matching of an import does: by id, by reference, by email, by telephone number, by name and
// address. It follows merges. It returns nil if none or several are found.
func (o *Organisation) match(source string, p Person) *Contact {
	found := o.contact(p.ID)
	if found == nil && p.ReferenceID != "" {
		found = o.contact(o.referred[referenceTo(source, p.ReferenceID)])
	}
	if found == nil && p.Email != "" {
		found = o.only(o.byMethod[methodKey(p.Email)])
	}
	if found == nil && p.Phone != "" {
		found = o.only(o.byMethod[methodKey(p.Phone)])
	}
	if found == nil && p.Address1 != "" {
		found = o.only(o.byAddress[addressKey(p.fullName(), p.Address1, p.Postal)])
	}
	for range len(o.s.Contacts) { // a chain of merges may be a circle
		if found == nil || found.MergedInto == 0 {
			break
		}
		found = o.contact(found.MergedInto)
	}
	return found
}

func (o *Organisation) only(ids []int64) *Contact {
	if len(ids) != 1 {
		return nil
	}
	return o.contact(ids[0])
}

func methodKey(value string) string {
	if strings.Contains(value, "@") {
		return strings.ToLower(strings.TrimSpace(value))
	}
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, value)
}

func addressKey(name, line, postal string) string {
	return strings.ToLower(name + "\x00" + line + "\x00" + postal)
}

func (p Person) fullName() string {
	if p.LastName == "" && p.FirstName == "" {
		return p.Name
	}
	return strings.TrimSpace(p.LastName + ", " + p.FirstName)
}

// newContact adds the contact of a person.
func (o *Organisation) newContact(now time.Time, source string, p Person, user string) *Contact {
	id := o.s.Next.Contact
	o.s.Next.Contact++
	created := o.stamp(now, "contact created "+strconv.FormatInt(id, 10), time.Time{})
	added := &Contact{
		ID: id, Type: cmp.Or(p.Type, "Household"), Name: cmp.Or(p.Name, p.fullName(), "Unknown"), Informal: cmp.Or(p.FirstName, p.Name),
		Version: 1, Created: created, Modified: o.stamp(now, "contact "+strconv.FormatInt(id, 10), time.Time{}),
		CreatedBy: user, ModifiedBy: user,
	}
	if added.Modified.Before(created) {
		added.Modified = created
	}
	if p.ReferenceID != "" {
		added.References = []Reference{{Source: source, ID: p.ReferenceID}}
	}
	for tag := range strings.SplitSeq(p.Tags, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			added.Tags = append(added.Tags, tag)
		}
	}
	if p.Address1 != "" {
		added.Addresses = []Address{{
			ID: o.s.Next.Address, Label: homeLabel, Line1: p.Address1, Line2: p.Address2, City: p.City, State: p.State, Postal: p.Postal, Country: p.Country,
			Created: created, Modified: added.Modified,
		}}
		o.s.Next.Address++
	}
	added.People = []Individual{{
		ID: o.s.Next.Individual, FirstName: p.FirstName, LastName: cmp.Or(p.LastName, p.Name), Methods: o.methods(p),
		Created: created, Modified: added.Modified,
	}}
	o.s.Next.Individual++
	o.s.Contacts = append(o.s.Contacts, added)
	o.indexContact(added)
	o.emit(ContactCreate, added.Modified, nil, added)
	o.changes++
	return added
}

func (o *Organisation) methods(p Person) []Method {
	var methods []Method
	for _, m := range []Method{
		{Type: cmp.Or(p.EmailType, "Home Email"), Value: p.Email, OptedIn: true}, {Type: cmp.Or(p.PhoneType, "Mobile Phone"), Value: p.Phone},
	} {
		if m.Value != "" {
			m.ID = o.s.Next.Method
			o.s.Next.Method++
			methods = append(methods, m)
		}
	}
	return methods
}

func (o *Organisation) indexContact(c *Contact) {
	for _, reference := range c.References {
		o.referred[referenceTo(reference.Source, reference.ID)] = c.ID
	}
	for _, person := range c.People {
		for _, m := range person.Methods {
			addTo(o.byMethod, methodKey(m.Value), c.ID)
		}
	}
	for _, a := range c.Addresses {
		addTo(o.byAddress, addressKey(c.Name, a.Line1, a.Postal), c.ID)
	}
}

func addTo(index map[string][]int64, key string, id int64) {
	if !slices.Contains(index[key], id) {
		index[key] = append(index[key], id)
	}
}

// replaceContact stores a version of a contact in the place of the previous one.
func (o *Organisation) replaceContact(now time.Time, after *Contact, modified *time.Time, user string) *Contact {
	i, _ := slices.BinarySearchFunc(o.s.Contacts, after.ID, func(c *Contact, id int64) int { return cmp.Compare(c.ID, id) })
	before := o.s.Contacts[i]
	after.Version, after.ModifiedBy = before.Version+1, user
	if modified != nil {
		after.Modified = modified.UTC().Truncate(100 * time.Nanosecond)
	} else {
		after.Modified = o.stamp(now, "contact "+strconv.FormatInt(after.ID, 10), before.Modified)
	}
	o.s.Contacts[i] = after
	o.indexContact(after)
	o.emit(ContactUpdate, after.Modified, nil, after)
	o.changes++
	return after
}

// known returns a contact or an ErrUnknown.
func (o *Organisation) known(id int64) (*Contact, error) {
	found := o.contact(id)
	if found == nil {
		return nil, fmt.Errorf("contact %d: %w", id, ErrUnknown)
	}
	return found, nil
}
