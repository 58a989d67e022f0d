package giving

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// PurposeContactTransaction is the purpose for which the transactions of contacts are sealed with the customer's data key, and
// PurposePartnerContact that for which the platform's versions of contacts are.
const (
	PurposeContactTransaction = "contact_transaction"
	PurposePartnerContact     = "platform_contact"
)

const (
	fieldReference  = "referenceId"
	fieldModifiedAt = "modifiedAt"
	// defaultType is the type of a contact that names none.
	defaultType = "Household"
	// mayBeAhead is by how much the platform's clock may be ahead of the stream's. A time far ahead would keep all later versions from being accepted.
	mayBeAhead = time.Hour
)

// PartnerContact is a version of a contact as the platform has it, in its canonical form: texts have no spaces at their ends, and the time is one of
// UTC. Fields that the platform does not have are left out of its JSON. Equal versions are encoded as equal bytes.
type PartnerContact struct {
	CustomerID     string         `json:"customerId"`
	ReferenceID    string         `json:"referenceId"`
	ContactType    string         `json:"contactType"`
	Name           string         `json:"name,omitempty"` // of an organization, or of a person whose first and last name are not known
	Title          string         `json:"title,omitempty"`
	FirstName      string         `json:"firstName,omitempty"`
	MiddleName     string         `json:"middleName,omitempty"`
	LastName       string         `json:"lastName,omitempty"`
	EmailType      string         `json:"emailType,omitempty"`
	Email          string         `json:"email,omitempty"`
	PhoneType      string         `json:"phoneType,omitempty"`
	Phone          string         `json:"phone,omitempty"`
	Address        Address        `json:"address,omitzero"`
	ModifiedAt     time.Time      `json:"modifiedAt,omitzero"`      // when the platform's record changed; zero: the platform does not say
	VirtuousFields map[string]any `json:"virtuousFields,omitempty"` // as in Donation
}

// contactFields are the further fields that a contact's message may have in virtuousFields.
const contactFields = ` tags emailLists customFields originSegmentCode suffix volunteerAttendances `

// ParseContact reads a message that was published for the customer at a time, and returns the contact in its canonical form, or what is wrong with
// the message, field by field.
func ParseContact(data []byte, customer string, published time.Time) (PartnerContact, rollcallv1.FieldErrors) {
	message := &rollcallv1.Contact{}
	errs := rollcallv1.Decode(data, message)
	if len(errs) > 0 {
		return PartnerContact{}, errs
	}
	v := validation{errs: errs}
	c := v.partnerContact(message, customer, published)
	c.VirtuousFields = v.virtuousFields(data, contactFields)
	if len(errs) > 0 {
		return PartnerContact{}, errs
	}
	return c, nil
}

// ReferenceOf returns the contact's reference as an invalid message has it, "" if it has none that can be shown.
func ReferenceOf(data []byte) string { return idAt(data, fieldReference, "reference_id") }

func (v validation) partnerContact(message *rollcallv1.Contact, customer string, published time.Time) PartnerContact {
	v.customer(message.GetCustomerId(), customer)
	c := PartnerContact{
		CustomerID: customer, ReferenceID: message.GetReferenceId(), ContactType: cmp.Or(v.text("contactType", message.GetContactType()), defaultType),
		Name: v.text("name", message.GetName()), Title: v.text("title", message.GetTitle()), FirstName: v.text("firstName", message.GetFirstName()),
		MiddleName: v.text("middleName", message.GetMiddleName()), LastName: v.text("lastName", message.GetLastName()),
		EmailType: v.text("emailType", message.GetEmailType()), Email: v.text("email", message.GetEmail()),
		PhoneType: v.text("phoneType", message.GetPhoneType()), Phone: v.text("phone", message.GetPhone()),
		Address: v.address("", message.GetAddress()), ModifiedAt: v.modifiedAt(message.GetModifiedAt(), published),
	}
	if wrong := wrongID(c.ReferenceID); wrong != "" {
		v.addOnce(fieldReference, wrong)
	}
	if c.Name == "" && c.FirstName == "" && c.LastName == "" {
		v.addOnce("name", "is missing: give name, or firstName and lastName")
	}
	if c.Email != "" && !isEmail(c.Email) {
		v.addOnce("email", "is not an e-mail address")
	}
	for field, of := range map[string][2]string{"emailType": {c.EmailType, c.Email}, "phoneType": {c.PhoneType, c.Phone}} {
		if of[0] != "" && of[1] == "" {
			v.addOnce(field, "has nothing that it is the type of: leave it out, or give "+strings.TrimSuffix(field, "Type"))
		}
	}
	return c
}

// modifiedAt reads when the platform's record changed, in the microseconds that are stored.
func (v validation) modifiedAt(given string, published time.Time) time.Time {
	if given == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, given)
	switch {
	case err != nil:
		v.addOnce(fieldModifiedAt, "must be an instant such as 2026-11-20T22:00:00Z")
		return time.Time{}
	case at.UTC().Format(time.DateOnly) < firstYear:
		v.addOnce(fieldModifiedAt, "must not lie before the year 1900: leave it out if it is not known")
	case at.After(published.Add(mayBeAhead)):
		v.addOnce(fieldModifiedAt, "lies more than an hour after the message was published: give the time at which the platform's record changed")
	}
	return at.UTC().Truncate(time.Microsecond)
}

// Encode returns the canonical bytes.
func (c PartnerContact) Encode() ([]byte, error) {
	encoded, err := encode(c)
	if err != nil {
		return nil, fmt.Errorf("encode contact: %w", err)
	}
	return encoded, nil
}

// DecodePartnerContact reads what Encode returned.
func DecodePartnerContact(encoded []byte) (PartnerContact, error) {
	var c PartnerContact
	if err := decode(encoded, &c); err != nil {
		return PartnerContact{}, fmt.Errorf("decode contact: %w", err)
	}
	return c, nil
}

// ContactHash returns the hash by which two messages are known to be the same version of a contact, keyed with the customer's hash key.
func ContactHash(key, canonical []byte) []byte { return hashOf(key, "contact", canonical) }

// FieldHash returns the hash by which a value of a contact's field is known to be the same, keyed with the customer's hash key.
func FieldHash(key []byte, field, value string) []byte {
	return hashOf(key, "contact field "+field, []byte(value))
}

// Transaction returns the body that Virtuous gets for the contact. Absent fields are left out: Virtuous matches by what is there.
func (c PartnerContact) Transaction(source string) ([]byte, error) {
	body := map[string]any{}
	for name, value := range c.VirtuousFields {
		set(body, name, value)
	}
	for _, field := range [][2]string{
		{"referenceSource", source}, {fieldReference, c.ReferenceID}, {"contactType", c.ContactType}, {"name", c.Name}, {"title", c.Title},
		{"firstName", c.FirstName}, {"middleName", c.MiddleName}, {"lastName", c.LastName}, {"emailType", c.EmailType}, {"email", c.Email},
		{"phoneType", c.PhoneType}, {"phone", c.Phone}, {"address1", c.Address.Address1}, {"address2", c.Address.Address2}, {"city", c.Address.City},
		{"state", c.Address.State}, {"postal", c.Address.Postal}, {"country", c.Address.Country},
	} {
		if field[1] != "" {
			set(body, field[0], field[1])
		}
	}
	encoded, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("encode transaction of a contact: %w", err)
	}
	return encoded, nil
}

// IsNewerThan reports whether this version takes the place of another one: by the times at which the platform's record changed, and if these are
// equal, or one of them is not known, by the times at which the versions were published.
func (v VersionTime) IsNewerThan(other VersionTime) bool {
	if v.ModifiedAt != nil && other.ModifiedAt != nil && !v.ModifiedAt.Equal(*other.ModifiedAt) {
		return v.ModifiedAt.After(*other.ModifiedAt)
	}
	return v.PublishedAt.After(other.PublishedAt)
}

// VersionTime says of when a version of a contact is.
type VersionTime struct {
	ModifiedAt  *time.Time // nil: the platform does not say
	PublishedAt time.Time
}
