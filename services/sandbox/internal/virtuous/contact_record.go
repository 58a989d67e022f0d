package virtuous

import (
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// contactRecord is a whole contact, in the order of keys that recordings have.
type contactRecord struct {
	ID                         int64              `json:"id"`
	ContactType                string             `json:"contactType"`
	IsPrivate                  bool               `json:"isPrivate"`
	Name                       string             `json:"name"`
	InformalName               string             `json:"informalName"`
	FormalContactName          string             `json:"formalContactName"`
	AlternateContactName       *string            `json:"alternateContactName"`
	PreferredSalutationName    string             `json:"preferredSalutationName"`
	PreferredAddresseeName     string             `json:"preferredAddresseeName"`
	Description                *string            `json:"description"`
	Website                    *string            `json:"website"`
	MaritalStatus              *string            `json:"maritalStatus"`
	AnniversaryMonth           *int               `json:"anniversaryMonth"`
	AnniversaryDay             *int               `json:"anniversaryDay"`
	AnniversaryYear            *int               `json:"anniversaryYear"`
	MergedIntoContactID        *int64             `json:"mergedIntoContactId"`
	Address                    any                `json:"address,omitempty"` // not in webhooks
	GiftAskAmount              string             `json:"giftAskAmount"`
	GiftAskType                *string            `json:"giftAskType"`
	LifeToDateGiving           string             `json:"lifeToDateGiving"`
	YearToDateGiving           string             `json:"yearToDateGiving"`
	LastGiftAmount             string             `json:"lastGiftAmount"`
	LastGiftDate               string             `json:"lastGiftDate"`
	ContactIndividuals         []individualRecord `json:"contactIndividuals"`
	ContactGiftsURL            string             `json:"contactGiftsUrl"`
	ContactPassthroughGiftsURL string             `json:"contactPassthroughGiftsUrl"`
	ContactPlannedGiftsURL     string             `json:"contactPlannedGiftsUrl"`
	ContactRecurringGiftsURL   string             `json:"contactRecurringGiftsUrl"`
	ContactImportantNotesURL   string             `json:"contactImportantNotesUrl"`
	ContactNotesURL            string             `json:"contactNotesUrl"`
	ContactTagsURL             string             `json:"contactTagsUrl"`
	ContactRelationshipsURL    string             `json:"contactRelationshipsUrl"`
	PrimaryAvatarURL           *string            `json:"primaryAvatarUrl"`
	ContactReferences          []gifts.Reference  `json:"contactReferences"`
	OriginSegmentID            *int64             `json:"originSegmentId"`
	OriginSegment              *string            `json:"originSegment"`
	CreateDateTimeUTC          string             `json:"createDateTimeUtc"`
	CreatedByUser              string             `json:"createdByUser"`
	ModifiedDateTimeUTC        string             `json:"modifiedDateTimeUtc"`
	ModifiedByUser             string             `json:"modifiedByUser"`
	Tags                       []string           `json:"tags"`
	OrganizationGroups         []struct{}         `json:"organizationGroups"`
	CustomFields               []struct{}         `json:"customFields"`
	CustomCollections          []struct{}         `json:"customCollections"`

	*webhookContact
}

// webhookContact is what a contact has only in webhooks.
type webhookContact struct {
	CustomContactType *string         `json:"customContactType"`
	ContactAddresses  []addressRecord `json:"contactAddresses"`
}

type addressRecord struct {
	ID                  int64   `json:"id"`
	Label               string  `json:"label"`
	Address1            string  `json:"address1"`
	Address2            *string `json:"address2"`
	City                *string `json:"city"`
	State               string  `json:"state"`
	Postal              *string `json:"postal"`
	Country             string  `json:"country"`
	IsPrimary           bool    `json:"isPrimary"`
	CanBePrimary        bool    `json:"canBePrimary"`
	StartMonth          int     `json:"startMonth"`
	StartDay            int     `json:"startDay"`
	EndMonth            int     `json:"endMonth"`
	EndDay              int     `json:"endDay"`
	CreateDateTimeUTC   string  `json:"createDateTimeUtc"`
	CreatedByUser       string  `json:"createdByUser"`
	ModifiedDateTimeUTC string  `json:"modifiedDateTimeUtc"`
	ModifiedByUser      string  `json:"modifiedByUser"`
}

type individualRecord struct {
	ID                  int64      `json:"id"`
	ContactID           int64      `json:"contactId"`
	Prefix              *string    `json:"prefix"`
	Prefix2             *string    `json:"prefix2"`
	FirstName           *string    `json:"firstName"`
	MiddleName          *string    `json:"middleName"`
	LastName            *string    `json:"lastName"`
	PreMarriageName     *string    `json:"preMarriageName"`
	Suffix              *string    `json:"suffix"`
	Nickname            *string    `json:"nickname"`
	Gender              *string    `json:"gender"`
	IsPrimary           bool       `json:"isPrimary"`
	CanBePrimary        bool       `json:"canBePrimary"`
	IsSecondary         bool       `json:"isSecondary"`
	CanBeSecondary      bool       `json:"canBeSecondary"`
	BirthMonth          *int       `json:"birthMonth"`
	BirthDay            *int       `json:"birthDay"`
	BirthYear           *int       `json:"birthYear"`
	BirthDate           string     `json:"birthDate"`
	ApproximateAge      *int       `json:"approximateAge"`
	IsDeceased          bool       `json:"isDeceased"`
	DeceasedDate        string     `json:"deceasedDate"`
	Passion             *string    `json:"passion"`
	AvatarURL           *string    `json:"avatarUrl"`
	ContactMethods      []method   `json:"contactMethods"` // null for a person without any
	CreateDateTimeUTC   string     `json:"createDateTimeUtc"`
	CreatedByUser       string     `json:"createdByUser"`
	ModifiedDateTimeUTC string     `json:"modifiedDateTimeUtc"`
	ModifiedByUser      string     `json:"modifiedByUser"`
	CustomFields        []struct{} `json:"customFields"`
	CustomCollections   []struct{} `json:"customCollections"`
}

type method struct {
	ID           int64  `json:"id"`
	Type         string `json:"type"`
	Value        string `json:"value"`
	IsOptedIn    bool   `json:"isOptedIn"`
	IsPrimary    bool   `json:"isPrimary"`
	CanBePrimary bool   `json:"canBePrimary"`

	CreateDateTimeUTC   string `json:"createDateTimeUtc"`
	CreatedByUser       string `json:"createdByUser"`
	ModifiedDateTimeUTC string `json:"modifiedDateTimeUtc"`
	ModifiedByUser      string `json:"modifiedByUser"`
}

// ContactRecord returns a contact as Virtuous shows it in a place.
func ContactRecord(o *gifts.Organisation, c *gifts.Contact, place Place, now time.Time) any {
	settings := o.Identity().Settings
	stamp := settings.Rounded
	if place == List {
		stamp = settings.Precise
	}
	giving, id := o.Giving(c.ID, now), strconv.FormatInt(c.ID, 10)
	record := contactRecord{
		ID: c.ID, ContactType: c.Type, IsPrivate: c.Private, Name: c.Name, InformalName: c.Informal, FormalContactName: c.Name,
		PreferredSalutationName: c.Informal, PreferredAddresseeName: c.Name, MergedIntoContactID: orNone(c.MergedInto),
		GiftAskAmount: "$0", LifeToDateGiving: giving.Life.Rounded(), YearToDateGiving: giving.Year.Rounded(),
		LastGiftAmount: giving.Last.Rounded(), LastGiftDate: "Unavailable", ContactIndividuals: []individualRecord{},
		ContactGiftsURL: "/api/Gift/ByContact/" + id, ContactPassthroughGiftsURL: "/api/Gift/Passthrough/ByContact/" + id,
		ContactPlannedGiftsURL: "/api/PlannedGift/ByContact/" + id, ContactRecurringGiftsURL: "/api/RecurringGift/ByContact/" + id,
		ContactImportantNotesURL: "/api/ContactNote/Important/ByContact/" + id, ContactNotesURL: "/api/ContactNote/ByContact/" + id,
		ContactTagsURL: "/api/ContactTag/ByContact/" + id, ContactRelationshipsURL: "/api/Relationship/ByContact/" + id,
		ContactReferences: append([]gifts.Reference{}, c.References...), Tags: append([]string{}, c.Tags...),
		CreateDateTimeUTC: stamp(c.Created), CreatedByUser: c.CreatedBy, ModifiedDateTimeUTC: stamp(c.Modified), ModifiedByUser: c.ModifiedBy,
		OrganizationGroups: []struct{}{}, CustomFields: []struct{}{}, CustomCollections: []struct{}{},
	}
	if giving.LastDate != "" {
		record.LastGiftDate = shownDay(giving.LastDate)
	}
	for i, person := range c.People {
		record.ContactIndividuals = append(record.ContactIndividuals, individualOf(settings, c, person, i == 0))
	}
	addresses := []addressRecord{}
	for i, a := range c.Addresses {
		addresses = append(addresses, addressOf(settings, c, a, i == 0))
	}
	switch {
	case place == Webhook:
		record.webhookContact = &webhookContact{ContactAddresses: addresses}
	case len(addresses) > 0:
		record.Address = addresses[0]
	default:
		record.Address = (*addressRecord)(nil)
	}
	return record
}

func individualOf(settings gifts.Settings, c *gifts.Contact, p gifts.Individual, primary bool) individualRecord {
	record := individualRecord{
		ID: p.ID, ContactID: c.ID, FirstName: orNull(p.FirstName), MiddleName: orNull(p.Middle), LastName: orNull(p.LastName),
		Gender: orNull(p.Gender), IsPrimary: primary, BirthDate: "Unavailable",
		CreateDateTimeUTC: settings.Precise(p.Created), CreatedByUser: c.CreatedBy,
		ModifiedDateTimeUTC: settings.Precise(p.Modified), ModifiedByUser: c.ModifiedBy,
		CustomFields: []struct{}{}, CustomCollections: []struct{}{},
	}
	for _, m := range p.Methods {
		record.ContactMethods = append(record.ContactMethods, method{
			ID: m.ID, Type: m.Type, Value: m.Value, IsOptedIn: m.OptedIn, IsPrimary: true,
			CreateDateTimeUTC: record.CreateDateTimeUTC, CreatedByUser: record.CreatedByUser,
			ModifiedDateTimeUTC: record.ModifiedDateTimeUTC, ModifiedByUser: record.ModifiedByUser,
		})
	}
	return record
}

func addressOf(settings gifts.Settings, c *gifts.Contact, a gifts.Address, primary bool) addressRecord {
	return addressRecord{
		ID: a.ID, Label: a.Label, Address1: a.Line1, Address2: orNull(a.Line2), City: orNull(a.City), State: a.State, Postal: orNull(a.Postal),
		Country: a.Country, IsPrimary: primary, StartMonth: 1, StartDay: 1, EndMonth: 12, EndDay: 31,
		CreateDateTimeUTC: settings.Precise(a.Created), CreatedByUser: c.CreatedBy,
		ModifiedDateTimeUTC: settings.Precise(a.Modified), ModifiedByUser: c.ModifiedBy,
	}
}

// abbreviatedContact is a row of Contact/Query.
type abbreviatedContact struct {
	ID             int64   `json:"id"`
	Name           string  `json:"name"`
	ContactType    string  `json:"contactType"`
	ContactName    string  `json:"contactName"`
	Address        *string `json:"address"`
	Email          *string `json:"email"`
	Phone          *string `json:"phone"`
	ContactViewURL string  `json:"contactViewUrl"`
}

func shortContact(c *gifts.Contact) abbreviatedContact {
	row := abbreviatedContact{
		ID: c.ID, Name: c.Name, ContactType: c.Type, ContactName: c.Name, Email: orNull(c.Email()), Phone: orNull(c.Phone()),
		ContactViewURL: "https://app.virtuoussoftware.com/Generosity/Contact/View/" + strconv.FormatInt(c.ID, 10),
	}
	if len(c.Addresses) > 0 {
		a := c.Addresses[0]
		row.Address = orNull(a.Line1 + " " + a.City + ", " + a.State + " " + a.Postal)
	}
	return row
}
