package giving

import (
	"cmp"
	"errors"
	"strings"

	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/virtuous"
)

// sidesOf returns what the two sides have of a contact. A person's name is compared with that of Virtuous' primary person, and any other name with that of
// the contact as a whole.
func sidesOf(contact giving.PartnerContact, at virtuous.Contact) (partner, ours resolution.Side) {
	partner = resolution.Side{
		Name: fullName(contact.FirstName, contact.LastName), Email: contact.Email, Phone: contact.Phone, Address: resolution.Address(contact.Address),
	}
	person := at.Primary()
	ours = resolution.Side{
		Name: fullName(person.FirstName, person.LastName), Email: at.Email(), Phone: at.Phone(), Address: resolution.Address(at.Address),
	}
	if partner.Name == "" {
		partner.Name, ours.Name = contact.Name, at.Name
	}
	return partner, ours
}

func fullName(first, last string) string { return strings.TrimSpace(first + " " + last) }

// errCannotWrite means that no request writes the field.
var errCannotWrite = errors.New("no request writes this field")

// writeOf returns the request that gives a field of Virtuous' contact the platform's value. What the platform does not have stays as it is.
func writeOf(field string, contact giving.PartnerContact, at virtuous.Contact) (virtuous.ContactWrite, error) {
	var write virtuous.ContactWrite
	var err error
	switch field {
	case resolution.FieldEmail:
		write, err = at.WriteEmail(contact.Email)
	case resolution.FieldPhone:
		write, err = at.WritePhone(contact.Phone)
	case resolution.FieldAddress:
		write, err = at.WriteAddress(addressFor(contact.Address, at.Address))
	case resolution.FieldName:
		if contact.FirstName == "" && contact.LastName == "" {
			return write, errCannotWrite // the name of a contact as a whole
		}
		person := at.Primary()
		write, err = at.WriteName(cmp.Or(contact.FirstName, person.FirstName), cmp.Or(contact.LastName, person.LastName))
	default:
		return write, errCannotWrite
	}
	if err != nil { // the contact has no person who could have it
		return write, errors.Join(errCannotWrite, err)
	}
	return write, nil
}

// addressFor returns the platform's address. Parts that it does not have are those of Virtuous' address, if that is the same place.
func addressFor(contact giving.Address, at virtuous.Address) virtuous.Address {
	written := virtuous.Address(contact)
	if hasMoved(contact.Address1, at.Address1) || hasMoved(contact.City, at.City) {
		written.Country = cmp.Or(written.Country, at.Country)
		return written
	}
	return virtuous.Address{
		Address1: cmp.Or(written.Address1, at.Address1), Address2: cmp.Or(written.Address2, at.Address2), City: cmp.Or(written.City, at.City),
		State: cmp.Or(written.State, at.State), Postal: cmp.Or(written.Postal, at.Postal), Country: cmp.Or(written.Country, at.Country),
	}
}

func hasMoved(to, from string) bool { return to != "" && !strings.EqualFold(to, from) }
