package giving

import (
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Limits of a message.
const (
	maxIDCharacters   = 128
	maxTextBytes      = 1024
	maxEmailBytes     = 254
	maxDesignations   = 200
	maxNameBytes      = 64
	firstYear         = "1900-01-01"
	lastYear          = "2099-12-31"
	fieldVirtuous     = "virtuousFields"
	fieldID           = "platformDonationId"
	fieldAmount       = "amount"
	fieldCurrency     = "currencyCode"
	fieldDate         = "giftDate"
	fieldContact      = "contact"
	fieldDesignations = "designations"
)

// plainDecimal is how an amount is written: digits, and perhaps a point and more digits.
var plainDecimal = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]+)?$`)

// validation collects what is wrong with one message: at most one error for each field.
type validation struct{ errs rollcallv1.FieldErrors }

func (v validation) addOnce(field, text string) {
	if len(v.errs[field]) == 0 {
		v.errs.Add(field, text)
	}
}

func (v validation) donation(message *rollcallv1.Donation, customer string, zone *time.Location) Donation {
	d := Donation{CustomerID: customer, PlatformDonationID: message.GetPlatformDonationId(), CurrencyCode: message.GetCurrencyCode()}
	v.customer(message.GetCustomerId(), customer)
	if wrong := wrongID(d.PlatformDonationID); wrong != "" {
		v.addOnce(fieldID, wrong)
	}
	decimals, known := decimalsOf(d.CurrencyCode)
	switch {
	case d.CurrencyCode == "":
		v.addOnce(fieldCurrency, "is missing: give a code of ISO 4217 such as USD")
	case !known:
		v.addOnce(fieldCurrency, "is no currency: give a code of ISO 4217 such as USD, in capital letters")
	}
	if !known {
		decimals = maxDecimals
	}
	var amount virtuous.Money
	amount, d.Amount = v.amount(fieldAmount, message.GetAmount(), decimals)
	d.GiftDate = v.date(message.GetGiftDate(), zone)
	d.GiftType = v.text("giftType", message.GetGiftType())
	d.PlatformReference = v.text("platformReference", message.GetPlatformReference())
	d.Contact = v.contact(message.GetContact())
	d.Designations = v.designations(message.GetDesignations(), amount, decimals)
	return d
}

// customer checks the customer that a message names.
func (v validation) customer(given, ofSubject string) {
	switch given {
	case "":
		v.addOnce("customerId", "is missing")
	case ofSubject:
	default:
		v.addOnce("customerId", "is not the customer of the subject")
	}
}

// wrongID returns what is wrong with the id of a donation or contact, "" if nothing is. The id becomes part of an address.
func wrongID(id string) string {
	switch {
	case id == "":
		return "is missing"
	case !utf8.ValidString(id), utf8.RuneCountInString(id) > maxIDCharacters:
		return "is longer than " + strconv.Itoa(maxIDCharacters) + " characters"
	case strings.ContainsFunc(id, unicode.IsControl):
		return "has a control character"
	case strings.Contains(id, "/"):
		return "has a slash"
	case id == "." || id == "..":
		return "is . or .., which cannot be part of an address"
	case strings.TrimSpace(id) != id:
		return "has a space at its beginning or end"
	}
	return ""
}

// maxDecimals are the most that any currency has.
const maxDecimals = 4

// amount reads a positive amount. text is "" if it is none.
func (v validation) amount(field, given string, decimals int) (amount virtuous.Money, text string) {
	_, fraction, _ := strings.Cut(given, ".")
	amount, err := virtuous.ParseDecimal(given)
	switch {
	case given == "":
		v.addOnce(field, "is missing")
	case err == nil && amount.Sign() < 0:
		v.addOnce(field, "must be more than 0")
	case err != nil || !plainDecimal.MatchString(given):
		v.addOnce(field, `must be a decimal of at most 15 digits before its point, such as "125.00", without a sign, symbol or group separator`)
	case amount.Sign() == 0:
		v.addOnce(field, "must be more than 0")
	case len(fraction) > decimals && decimals == 0:
		v.addOnce(field, "must have no decimals: the currency has none")
	case len(fraction) > decimals:
		v.addOnce(field, "must have at most "+strconv.Itoa(decimals)+" decimals")
	default:
		return amount, amount.Fixed(decimals)
	}
	return virtuous.Money{}, ""
}

// date returns the day of a date, or of an instant in the organization's time zone.
func (v validation) date(given string, zone *time.Location) string {
	if given == "" {
		v.addOnce(fieldDate, "is missing")
		return ""
	}
	day := given
	if _, err := time.Parse(time.DateOnly, given); err != nil {
		instant, err := time.Parse(time.RFC3339, given)
		if err != nil {
			v.addOnce(fieldDate, "must be a date such as 2026-11-20, or an instant such as 2026-11-20T22:00:00Z")
			return ""
		}
		if zone == nil {
			zone = time.UTC
		}
		day = instant.In(zone).Format(time.DateOnly)
	}
	if len(day) != len(firstYear) || day < firstYear || day > lastYear {
		v.addOnce(fieldDate, "must lie between the years 1900 and 2099")
		return ""
	}
	return day
}

// text returns a text without the spaces at its ends.
func (v validation) text(field, given string) string {
	text := strings.TrimSpace(given)
	switch {
	case len(text) > maxTextBytes:
		v.addOnce(field, "is longer than "+strconv.Itoa(maxTextBytes)+" bytes")
	case strings.ContainsFunc(text, unicode.IsControl):
		v.addOnce(field, "has a control character")
	}
	return text
}

func (v validation) contact(message *rollcallv1.DonationContact) Contact {
	if message == nil {
		v.addOnce(fieldContact, "is missing")
		return Contact{}
	}
	field := func(name, given string) string { return v.text(fieldContact+"."+name, given) }
	c := Contact{
		ReferenceID: field("referenceId", message.GetReferenceId()), Type: field("type", message.GetType()), Name: field("name", message.GetName()),
		FirstName: field("firstName", message.GetFirstName()), LastName: field("lastName", message.GetLastName()),
		Email: field("email", message.GetEmail()), Phone: field("phone", message.GetPhone()),
		Address: v.address(fieldContact+".", message.GetAddress()),
	}
	if c.Name == "" && c.FirstName == "" && c.LastName == "" {
		v.addOnce(fieldContact+".name", "is missing: give name, or firstName and lastName")
	}
	if c.Email != "" && !isEmail(c.Email) {
		v.addOnce(fieldContact+".email", "is not an e-mail address")
	}
	if c.Email == "" && c.Phone == "" && c.ReferenceID == "" && c.Address == (Address{}) {
		v.addOnce(fieldContact, "has nothing to find the donor by: give an email, a phone, an address or a referenceId")
	}
	return c
}

// address reads the address of the object at a path.
func (v validation) address(at string, message *rollcallv1.DonationAddress) Address {
	field := func(name, given string) string { return v.text(at+"address."+name, given) }
	return Address{
		Address1: field("address1", message.GetAddress1()), Address2: field("address2", message.GetAddress2()), City: field("city", message.GetCity()),
		State: field("state", message.GetState()), Postal: field("postal", message.GetPostal()), Country: field("country", message.GetCountry()),
	}
}

func isEmail(text string) bool {
	parsed, err := mail.ParseAddress(text)
	return err == nil && parsed.Address == text && len(text) <= maxEmailBytes
}

func (v validation) designations(messages []*rollcallv1.Designation, amount virtuous.Money, decimals int) []Designation {
	switch {
	case len(messages) == 0:
		v.addOnce(fieldDesignations, "is missing: say what the donation is for, in amounts that add up to it")
		return nil
	case len(messages) > maxDesignations:
		v.addOnce(fieldDesignations, "has more than "+strconv.Itoa(maxDesignations)+" entries")
		return nil
	}
	designations := make([]Designation, 0, len(messages))
	sum, complete := virtuous.Money{}, amount.Sign() > 0
	for i, message := range messages {
		at := fieldDesignations + "[" + strconv.Itoa(i) + "]."
		code := v.text(at+"code", message.GetCode())
		if code == "" {
			v.addOnce(at+"code", "is missing")
		}
		part, text := v.amount(at+"amountDesignated", message.GetAmountDesignated(), decimals)
		sum, complete = sum.Add(part), complete && text != ""
		designations = append(designations, Designation{Code: code, AmountDesignated: text})
	}
	if complete && !sum.Equal(amount) {
		v.addOnce(fieldDesignations, "do not add up to the amount")
	}
	return designations
}

// isLetters reports whether a name may be repeated in an error: a value in the wrong place hardly ever consists of letters alone.
func isLetters(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}
