package virtuous

import (
	"fmt"
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// Place is where a record is shown. Places differ in the precision of times and in the form of custom fields.
type Place int

// Places of a record.
const (
	Single  Place = iota // GET of one record
	List                 // FullGift and FullContact queries
	Webhook              // the observed envelope of a delivery
)

// giftRecord is a whole gift, in the order of keys that recordings have.
type giftRecord struct {
	CreditCardType           *string       `json:"creditCardType,omitempty"`
	ID                       int64         `json:"id"`
	TransactionSource        *string       `json:"transactionSource"`
	TransactionID            *string       `json:"transactionId"`
	ContactID                int64         `json:"contactId"`
	ContactName              string        `json:"contactName"`
	ContactURL               string        `json:"contactUrl"`
	GiftType                 string        `json:"giftType"`
	GiftTypeFormatted        string        `json:"giftTypeFormatted"`
	GiftDate                 string        `json:"giftDate"`
	GiftDateFormatted        string        `json:"giftDateFormatted"`
	Amount                   gifts.Amount  `json:"amount"`
	AmountFormatted          string        `json:"amountFormatted"`
	CurrencyCode             string        `json:"currencyCode"`
	ExchangeRate             gifts.Amount  `json:"exchangeRate"`
	BaseCurrencyCode         string        `json:"baseCurrencyCode"`
	Batch                    *string       `json:"batch"`
	CreateDateTimeUTC        string        `json:"createDateTimeUtc"`
	CreatedByUser            string        `json:"createdByUser"`
	ModifiedDateTimeUTC      string        `json:"modifiedDateTimeUtc"`
	ModifiedByUser           string        `json:"modifiedByUser"`
	SegmentID                *int64        `json:"segmentId"`
	Segment                  *string       `json:"segment"`
	SegmentCode              *string       `json:"segmentCode"`
	SegmentURL               *string       `json:"segmentUrl"`
	MediaOutletID            *int64        `json:"mediaOutletId"`
	MediaOutlet              *string       `json:"mediaOutlet"`
	GrantID                  *int64        `json:"grantId"`
	Grant                    *string       `json:"grant"`
	GrantURL                 *string       `json:"grantUrl"`
	Notes                    string        `json:"notes"`
	Tribute                  *string       `json:"tribute"`
	TributeID                *int64        `json:"tributeId"`
	TributeType              *string       `json:"tributeType"`
	AcknowledgeeIndividualID *int64        `json:"acknowledgeeIndividualId"`
	IsAcknowledgedGift       bool          `json:"isAcknowledgedGift"`
	AcknowledgementDate      *string       `json:"acknowledgementDate"`
	AcknowledgementNotes     string        `json:"acknowledgementNotes"`
	ReceiptDate              *string       `json:"receiptDate"`
	ReceiptDateFormatted     string        `json:"receiptDateFormatted"`
	ContactPassthroughID     *int64        `json:"contactPassthroughId"`
	ContactPassthroughURL    *string       `json:"contactPassthroughUrl"`
	ContactIndividualID      *int64        `json:"contactIndividualId"`
	CashAccountingCode       *string       `json:"cashAccountingCode"`
	GiftAskID                *int64        `json:"giftAskId"`
	ContactMembershipID      *int64        `json:"contactMembershipId"`
	GiftDesignations         []designation `json:"giftDesignations"`
	GiftPremiums             []struct{}    `json:"giftPremiums"`
	PledgePayments           []struct{}    `json:"pledgePayments"`
	RecurringGiftPayments    []struct{}    `json:"recurringGiftPayments"`
	GiftURL                  string        `json:"giftUrl"`
	IsPrivate                bool          `json:"isPrivate"`
	IsTaxDeductible          bool          `json:"isTaxDeductible"`
	CustomFields             any           `json:"customFields"` // a list, and a map in webhooks
}

type designation struct {
	ID                     int64        `json:"id"`
	ProjectID              int64        `json:"projectId"`
	Project                string       `json:"project"`
	ProjectCode            string       `json:"projectCode"`
	ExternalAccountingCode *string      `json:"externalAccountingCode"`
	ProjectType            string       `json:"projectType"`
	ProjectLocation        string       `json:"projectLocation"`
	ProjectURL             string       `json:"projectUrl"`
	AmountDesignated       gifts.Amount `json:"amountDesignated"`
	Display                string       `json:"display"`
}

type customField struct {
	DataType    string  `json:"dataType"`
	Name        string  `json:"name"`
	Value       string  `json:"value"`
	DisplayName *string `json:"displayName"`
}

// GiftRecord returns a gift as Virtuous shows it in a place.
func GiftRecord(o *gifts.Organisation, g *gifts.Gift, place Place) any { return wholeGift(o, g, place) }

func wholeGift(o *gifts.Organisation, g *gifts.Gift, place Place) giftRecord {
	settings := o.Identity().Settings
	stamp := settings.Rounded
	if place == List {
		stamp = settings.Precise
	}
	name := ""
	if contact := o.Contact(g.ContactID); contact != nil {
		name = contact.Name
	}
	record := giftRecord{
		ID: g.ID, TransactionSource: orNull(g.Source), TransactionID: orNull(g.TransactionID),
		ContactID: g.ContactID, ContactName: name, ContactURL: path("Contact", g.ContactID),
		GiftType: g.Type, GiftTypeFormatted: spaced(g.Type), GiftDate: g.Date + "T00:00:00", GiftDateFormatted: shownDay(g.Date),
		Amount: g.Amount, AmountFormatted: g.Amount.Formatted(),
		CurrencyCode: g.Currency, ExchangeRate: 10_000, BaseCurrencyCode: settings.Currency, Batch: orNull(g.Batch),
		CreateDateTimeUTC: stamp(g.Created), CreatedByUser: g.CreatedBy, ModifiedDateTimeUTC: stamp(g.Modified), ModifiedByUser: g.ModifiedBy,
		SegmentCode: orNull(g.Segment), Notes: g.Notes, ContactIndividualID: orNone(g.IndividualID),
		GiftDesignations: []designation{}, GiftPremiums: []struct{}{}, PledgePayments: []struct{}{}, RecurringGiftPayments: []struct{}{},
		GiftURL: path("Gift", g.ID), IsPrivate: g.Private, IsTaxDeductible: g.TaxDeductible, CustomFields: customFields(g.CustomFields, place),
	}
	if g.PassthroughID != 0 {
		record.ContactPassthroughID, record.ContactPassthroughURL = &g.PassthroughID, orNull(path("Contact", g.PassthroughID))
	}
	if place == List {
		record.CreditCardType = orNull(g.CardType)
	}
	for _, d := range g.Designations {
		record.GiftDesignations = append(record.GiftDesignations, shownDesignation(o, d))
	}
	return record
}

func shownDesignation(o *gifts.Organisation, d gifts.Designation) designation {
	shown := designation{
		ID: d.ID, ProjectID: d.ProjectID, ProjectType: "Unspecified", ProjectLocation: "Unspecified", ProjectURL: path("Project", d.ProjectID),
		AmountDesignated: d.Amount,
	}
	if project := o.Project(d.ProjectID); project != nil {
		shown.Project, shown.ProjectCode = project.Name, project.Code
	}
	shown.Display = shown.Project + ": " + d.Amount.Display()
	return shown
}

func customFields(fields []gifts.Field, place Place) any {
	if place == Webhook {
		byName := map[string]string{}
		for _, field := range fields {
			byName[field.Name] = field.Value
		}
		return byName
	}
	list := []customField{}
	for _, field := range fields {
		list = append(list, customField{DataType: "Text", Name: field.Name, Value: field.Value})
	}
	return list
}

// abbreviatedGift is a row of Gift/Query and of Gift/ByContact. It has neither the reference nor the time of the last change.
type abbreviatedGift struct {
	ID                  int64        `json:"id"`
	ContactID           int64        `json:"contactId"`
	ContactIndividualID *int64       `json:"contactIndividualId"`
	GiftType            string       `json:"giftType"`
	GiftDate            string       `json:"giftDate"`
	Amount              string       `json:"amount"`
	Segment             *string      `json:"segment"`
	Batch               *string      `json:"batch"`
	GiftURL             string       `json:"giftUrl"`
	Culture             *string      `json:"culture"`
	ExchangeRate        gifts.Amount `json:"exchangeRate"`
	CurrencyCode        string       `json:"currencyCode"`
	BaseCurrencyCode    string       `json:"baseCurrencyCode"`
}

func shortGift(o *gifts.Organisation, g *gifts.Gift) abbreviatedGift {
	return abbreviatedGift{
		ID: g.ID, ContactID: g.ContactID, ContactIndividualID: orNone(g.IndividualID), GiftType: spaced(g.Type), GiftDate: shownDay(g.Date),
		Amount: g.Amount.Formatted(), Batch: orNull(g.Batch), GiftURL: path("Gift", g.ID), ExchangeRate: 10_000,
		CurrencyCode: g.Currency, BaseCurrencyCode: o.Identity().Settings.Currency,
	}
}

// DeletedGift is what is left of a gift in the delivery of its deletion.
type DeletedGift struct {
	ID                int64        `json:"id"`
	Amount            gifts.Amount `json:"amount"`
	GiftDateFormatted string       `json:"giftDateFormatted"`
}

// Deleted returns what a delivery says about a deleted gift.
func Deleted(g *gifts.Gift) DeletedGift {
	return DeletedGift{ID: g.ID, Amount: g.Amount, GiftDateFormatted: shownDay(g.Date)}
}

// shownDay writes a day as Virtuous shows it to people: 2/19/2026.
func shownDay(day string) string {
	at, err := time.Parse(gifts.Day, day)
	if err != nil {
		return day
	}
	return at.Format("1/2/2006")
}

func spaced(giftType string) string {
	if giftType == gifts.Reversal {
		return "Reversing Transaction"
	}
	return giftType
}

func path(kind string, id int64) string {
	return fmt.Sprintf("/api/%s/%s", kind, strconv.FormatInt(id, 10))
}

func orNull(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

func orNone(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}
