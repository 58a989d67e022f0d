package gifts

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// byKey is who changes what is changed with an API key.
const byKey = "API"

// DuplicateEmail is the error of an email address that another contact has.
type DuplicateEmail struct{ Contact int64 }

// Error says which contact has it.
func (d *DuplicateEmail) Error() string {
	return fmt.Sprintf("contact %d has the email address", d.Contact)
}

// MethodWrite is what a request says of an email address or telephone number. What it leaves out is cleared.
type MethodWrite struct {
	Individual int64  `json:"contactIndividualId"`
	Type       string `json:"type"`
	Value      string `json:"value"`
	OptedIn    bool   `json:"isOptedIn"`
	Primary    bool   `json:"setAsPrimary"`
}

// AddressWrite is what a request says of an address. What it leaves out is cleared.
type AddressWrite struct {
	Contact int64  `json:"contactId"`
	Label   string `json:"label"`
	Line1   string `json:"address1"`
	Line2   string `json:"address2"`
	City    string `json:"city"`
	State   string `json:"stateCode"`
	Postal  string `json:"postal"`
	Country string `json:"countryCode"`
}

// IndividualWrite is what a request says of a person. What it leaves out is cleared.
type IndividualWrite struct {
	FirstName string `json:"firstName"`
	Middle    string `json:"middleName"`
	LastName  string `json:"lastName"`
	Gender    string `json:"gender"`
}

// WriteMethod replaces a method, or adds one if id is 0. A telephone number of ten digits is kept in the form 555-010-0123. Errors: ErrUnknown,
// *DuplicateEmail.
func (o *Organisation) WriteMethod(now time.Time, id int64, write MethodWrite) (*Contact, error) {
	return o.write(now, func(c *Contact) (changed bool, err error) {
		person := slices.IndexFunc(c.People, func(p Individual) bool {
			return id == 0 && p.ID == write.Individual || slices.ContainsFunc(p.Methods, func(m Method) bool { return m.ID == id })
		})
		if person < 0 {
			return false, nil
		}
		if owner := o.only(o.byMethod[methodKey(write.Value)]); strings.Contains(write.Value, "@") && owner != nil && owner.ID != c.ID && owner.has(write.Value) {
			return false, &DuplicateEmail{Contact: owner.ID}
		}
		p := &c.People[person]
		p.Methods = slices.Clone(p.Methods)
		made := Method{ID: id, Type: write.Type, Value: inHouseForm(write.Value), OptedIn: write.OptedIn}
		if id == 0 {
			made.ID = o.s.Next.Method
			o.s.Next.Method++
			p.Methods = append(p.Methods, made)
			return true, nil
		}
		p.Methods[slices.IndexFunc(p.Methods, func(m Method) bool { return m.ID == id })] = made
		return true, nil
	})
}

// WriteAddress replaces an address, or adds one if id is 0. Errors: ErrUnknown.
func (o *Organisation) WriteAddress(now time.Time, id int64, write AddressWrite) (*Contact, error) {
	return o.write(now, func(c *Contact) (changed bool, err error) {
		made := Address{
			ID: id, Label: write.Label, Line1: write.Line1, Line2: write.Line2, City: write.City, State: write.State, Postal: write.Postal,
			Country: write.Country, Created: now, Modified: now,
		}
		at := slices.IndexFunc(c.Addresses, func(a Address) bool { return a.ID == id })
		switch {
		case id == 0 && c.ID == write.Contact:
			made.ID = o.s.Next.Address
			o.s.Next.Address++
			c.Addresses = append(c.Addresses, made)
		case id != 0 && at >= 0:
			made.Created = c.Addresses[at].Created
			c.Addresses[at] = made
		default:
			return false, nil
		}
		return true, nil
	})
}

// WriteIndividual replaces a person, but for the methods. A household is named after its first person. Errors: ErrUnknown.
func (o *Organisation) WriteIndividual(now time.Time, id int64, write IndividualWrite) (*Contact, error) {
	return o.write(now, func(c *Contact) (changed bool, err error) {
		at := slices.IndexFunc(c.People, func(p Individual) bool { return p.ID == id })
		if at < 0 {
			return false, nil
		}
		p := &c.People[at]
		p.FirstName, p.Middle, p.LastName, p.Gender = write.FirstName, write.Middle, write.LastName, write.Gender
		if at == 0 && c.Type == "Household" {
			c.Name, c.Informal = Person{FirstName: p.FirstName, LastName: p.LastName}.fullName(), p.FirstName
		}
		return true, nil
	})
}

// write changes a copy of the contact in which change finds what it changes, and stores it.
func (o *Organisation) write(now time.Time, change func(c *Contact) (changed bool, err error)) (*Contact, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	for _, before := range o.s.Contacts {
		after := *before
		after.People, after.Addresses = slices.Clone(before.People), slices.Clone(before.Addresses)
		changed, err := change(&after)
		if err != nil {
			return nil, err
		}
		if changed {
			return o.replaceContact(now, &after, nil, byKey), nil
		}
	}
	return nil, fmt.Errorf("part of a contact: %w", ErrUnknown)
}

// has reports whether a method of the contact has a value now: the index also has earlier ones.
func (c *Contact) has(value string) bool {
	for _, person := range c.People {
		if slices.ContainsFunc(person.Methods, func(m Method) bool { return methodKey(m.Value) == methodKey(value) }) {
			return true
		}
	}
	return false
}

// inHouseForm returns a telephone number of ten digits in the form that all numbers have here.
func inHouseForm(value string) string {
	digits := methodKey(value)
	if strings.Contains(value, "@") || len(digits) != len("5550100123") {
		return value
	}
	return digits[:3] + "-" + digits[3:6] + "-" + digits[6:]
}
