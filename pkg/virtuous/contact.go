package virtuous

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Contact is a contact as Virtuous has it: a household or an organization, with the people in it. What the record leaves
// out, or has as null, is the zero value.
type Contact struct {
	ID           int64
	Type         string
	Name         string
	InformalName string
	IsPrivate    bool
	IsArchived   bool
	MergedIntoID int64 // the contact that this one was merged into; 0: it was not merged
	Address      Address
	Individuals  []Individual
	References   []ContactReference
	Tags         []string
	CustomFields map[string]string // without those that have no value
	CreatedAt    time.Time
	ModifiedAt   time.Time // zero: the record does not say
	Missing      []string  // as in Gift
	Raw          json.RawMessage
}

// String names the contact by its id: it must not show a person in a log by mistake.
func (c Contact) String() string { return "contact " + strconv.FormatInt(c.ID, 10) }

// GoString is String.
func (c Contact) GoString() string { return c.String() }

// Address is the primary address of a contact.
type Address struct{ Address1, Address2, City, State, Postal, Country string }

// Individual is a person of a contact.
type Individual struct {
	ID          int64
	FirstName   string
	MiddleName  string
	LastName    string
	IsPrimary   bool
	IsSecondary bool
	IsDeceased  bool
	Methods     []ContactMethod
}

// ContactMethod is an email address or a phone number of a person.
type ContactMethod struct {
	ID        int64
	Type      string // such as "Home Email" or "Mobile Phone"
	Value     string
	IsPrimary bool
	IsOptedIn bool
}

// ContactReference is the id of a contact in another system.
type ContactReference struct{ Source, ID string }

// ParseContact reads a full contact. Its error is ErrNotRecord; every other defect is in Missing.
func ParseContact(raw []byte) (Contact, error) {
	value, ok := document(raw)
	if !ok {
		return Contact{}, ErrNotRecord
	}
	return readContact(value)
}

func readContact(value gjson.Result) (Contact, error) {
	id, ok := readID(value.Get("id"))
	if !value.IsObject() || !ok {
		return Contact{}, ErrNotRecord
	}
	c := Contact{
		ID: id, Raw: json.RawMessage(value.Raw),
		Type: textAt(value, "contactType"), Name: textAt(value, "name"), InformalName: textAt(value, "informalName"),
		IsPrivate: boolAt(value, "isPrivate"), IsArchived: boolAt(value, "isArchived") || boolAt(value, "archived"),
		MergedIntoID: idAt(value, "mergedIntoContactId"),
		Address:      readAddress(value),
		CustomFields: customFields(value.Get("customFields")),
		CreatedAt:    timeAt(value, "createDateTimeUtc"), ModifiedAt: timeAt(value, "modifiedDateTimeUtc"),
	}
	for individual := range objects(value.Get("contactIndividuals")) {
		c.Individuals = append(c.Individuals, readIndividual(individual))
	}
	for reference := range objects(value.Get("contactReferences")) {
		read := ContactReference{Source: textAt(reference, "source"), ID: textAt(reference, "id")}
		if read.ID == "" {
			read.ID = textAt(reference, "referenceId")
		}
		c.References = append(c.References, read)
	}
	c.Tags = readTags(value.Get("tags"))
	c.Missing = missing([]requirement{
		{"name", isTextOrNull(value.Get("name"))},
		{"contactIndividuals", value.Get("contactIndividuals").IsArray()},
		{"mergedIntoContactId", c.MergedIntoID != 0 || isNone(value.Get("mergedIntoContactId"))},
		{"modifiedDateTimeUtc", !c.ModifiedAt.IsZero()},
	})
	return c, nil
}

// objects returns the objects of a list, in order; none if the value is no list.
func objects(list gjson.Result) func(yield func(gjson.Result) bool) {
	return func(yield func(gjson.Result) bool) {
		if !list.IsArray() {
			return
		}
		list.ForEach(func(_, entry gjson.Result) bool { return !entry.IsObject() || yield(entry) })
	}
}

// readAddress returns the primary address: `address` in answers, one of `contactAddresses` in webhooks.
func readAddress(value gjson.Result) Address {
	chosen := value.Get("address")
	if !chosen.IsObject() {
		for address := range objects(value.Get("contactAddresses")) {
			if !chosen.IsObject() || boolAt(address, "isPrimary") && !boolAt(chosen, "isPrimary") {
				chosen = address
			}
		}
	}
	return Address{
		Address1: textAt(chosen, "address1"), Address2: textAt(chosen, "address2"), City: textAt(chosen, "city"),
		State:  cmp.Or(textAt(chosen, "state"), textAt(chosen, "stateCode")),
		Postal: textAt(chosen, "postal"), Country: cmp.Or(textAt(chosen, "country"), textAt(chosen, "countryCode")),
	}
}

func readIndividual(value gjson.Result) Individual {
	i := Individual{
		ID: idAt(value, "id"), FirstName: textAt(value, "firstName"), MiddleName: textAt(value, "middleName"), LastName: textAt(value, "lastName"),
		IsPrimary: boolAt(value, "isPrimary"), IsSecondary: boolAt(value, "isSecondary"), IsDeceased: boolAt(value, "isDeceased"),
	}
	for method := range objects(value.Get("contactMethods")) {
		i.Methods = append(i.Methods, ContactMethod{
			ID: idAt(method, "id"), Type: textAt(method, "type"), Value: textAt(method, "value"),
			IsPrimary: boolAt(method, "isPrimary"), IsOptedIn: boolAt(method, "isOptedIn"),
		})
	}
	return i
}

// readTags returns the names of a list of tags, each a text or an object with a name.
func readTags(list gjson.Result) []string {
	var tags []string
	if !list.IsArray() {
		return nil
	}
	list.ForEach(func(_, tag gjson.Result) bool {
		name := textOr(tag)
		if tag.IsObject() {
			name = cmp.Or(textAt(tag, "name"), textAt(tag, "tag"))
		}
		if name != "" {
			tags = append(tags, name)
		}
		return true
	})
	return tags
}

// IsComplete reports whether the record has every field that it should have.
func (c Contact) IsComplete() bool { return len(c.Missing) == 0 }

// HasReference reports whether the contact has an external reference. Letter cases of the source do not count.
func (c Contact) HasReference(source, id string) bool {
	return slices.ContainsFunc(c.References, func(one ContactReference) bool {
		return one.ID == id && strings.EqualFold(strings.TrimSpace(one.Source), strings.TrimSpace(source))
	})
}

// Primary returns the primary person of the contact, the first if none is primary, and the zero value if there is no person.
func (c Contact) Primary() Individual {
	for _, individual := range c.Individuals {
		if individual.IsPrimary {
			return individual
		}
	}
	if len(c.Individuals) > 0 {
		return c.Individuals[0]
	}
	return Individual{}
}

// Email returns the primary email address of the primary person, as Virtuous has it; "" if there is none.
func (c Contact) Email() string { return c.Primary().method("email") }

// Phone returns the primary phone number of the primary person, as Virtuous has it; "" if there is none.
func (c Contact) Phone() string { return c.Primary().method("phone") }

// method returns the primary method whose type has a word in it, or else the first.
func (i Individual) method(word string) string {
	first := ""
	for _, method := range i.Methods {
		if !strings.Contains(strings.ToLower(method.Type), word) || method.Value == "" {
			continue
		}
		if method.IsPrimary {
			return method.Value
		}
		first = cmp.Or(first, method.Value)
	}
	return first
}

// Fields returns the canonical fields, as Gift.Fields does.
func (c Contact) Fields() []Field {
	primary := c.Primary()
	references := make([]string, 0, len(c.References))
	for _, reference := range c.References {
		references = append(references, strconv.Quote(reference.Source)+" "+strconv.Quote(reference.ID))
	}
	slices.Sort(references)
	return []Field{
		{"contactType", canonicalType(c.Type)},
		{"name", c.Name},
		{"firstName", primary.FirstName},
		{"middleName", primary.MiddleName},
		{"lastName", primary.LastName},
		{"email", c.Email()},
		{"phone", c.Phone()},
		{"address1", c.Address.Address1},
		{"address2", c.Address.Address2},
		{"city", c.Address.City},
		{"state", c.Address.State},
		{"postal", c.Address.Postal},
		{"country", c.Address.Country},
		{"isPrivate", strconv.FormatBool(c.IsPrivate)},
		{"mergedIntoContactId", idText(c.MergedIntoID)},
		{"contactReferences", strings.Join(slices.Compact(references), ", ")},
	}
}
