package virtuous

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/fault"
)

// ErrDuplicate: another contact has this email address. Virtuous lets only one contact have it.
var ErrDuplicate = errors.New("another contact has the email address")

// ContactWrite is the change of one part of a contact: a method, an address, or a person. Virtuous replaces the part as a whole, so that the
// change has all that was read of it, under the names that writes have. The other parts of the contact are not touched.
type ContactWrite struct {
	method string
	path   []string
	body   json.RawMessage
}

// WriteEmail returns the change of the primary email address. A contact without one gets one.
func (c Contact) WriteEmail(email string) (ContactWrite, error) {
	return c.writeMethod("email", "Home Email", email)
}

// WritePhone returns the change of the primary phone number. A contact without one gets one.
func (c Contact) WritePhone(phone string) (ContactWrite, error) {
	return c.writeMethod("phone", "Mobile Phone", phone)
}

// errNoPerson means that a contact has no person who could have a method or a name.
var errNoPerson = errors.New("the contact has no person")

func (c Contact) writeMethod(word, newType, value string) (ContactWrite, error) {
	person, ok := c.rawPrimary()
	if !ok {
		return ContactWrite{}, fmt.Errorf("write the %s: %w", word, errNoPerson)
	}
	var chosen gjson.Result
	for method := range objects(person.Get("contactMethods")) {
		if !strings.Contains(strings.ToLower(textAt(method, "type")), word) || textAt(method, "value") == "" {
			continue
		}
		if !chosen.Exists() || boolAt(method, "isPrimary") && !boolAt(chosen, "isPrimary") {
			chosen = method
		}
	}
	if !chosen.Exists() {
		return newWrite(http.MethodPost, []string{"ContactMethod"}, map[string]any{
			"contactIndividualId": idAt(person, "id"), "type": newType, "value": value, "setAsPrimary": true,
		})
	}
	return changePart("ContactMethod", chosen, map[string]any{"value": value})
}

// WriteAddress returns the change of the primary address. A contact without one gets one.
func (c Contact) WriteAddress(a Address) (ContactWrite, error) {
	fields := map[string]any{
		"address1": a.Address1, "address2": a.Address2, "city": a.City, "stateCode": a.State, "postal": a.Postal, "countryCode": a.Country,
	}
	address := gjson.ParseBytes(c.Raw).Get("address")
	if !address.IsObject() {
		fields["contactId"], fields["label"], fields["setAsPrimary"] = c.ID, "Home", true
		return newWrite(http.MethodPost, []string{"ContactAddress"}, fields)
	}
	return changePart("ContactAddress", address, fields)
}

// WriteName returns the change of the primary person's first and last name.
func (c Contact) WriteName(first, last string) (ContactWrite, error) {
	person, ok := c.rawPrimary()
	if !ok {
		return ContactWrite{}, fmt.Errorf("write the name: %w", errNoPerson)
	}
	return changePart("ContactIndividual", person, map[string]any{"firstName": first, "lastName": last})
}

// rawPrimary returns the primary person as it was read.
func (c Contact) rawPrimary() (person gjson.Result, ok bool) {
	id := c.Primary().ID
	for individual := range objects(gjson.ParseBytes(c.Raw).Get("contactIndividuals")) {
		if id != 0 && idAt(individual, "id") == id {
			return individual, true
		}
	}
	return gjson.Result{}, false
}

// nameInWrites returns the name that a field of a part has in writes; ok is false for one that they do not have.
func nameInWrites(name string) (written string, ok bool) {
	switch name {
	case "id", "contactId", "contactMethods", "canBePrimary", "canBeSecondary", "avatarUrl", "birthDate",
		"createDateTimeUtc", "createdByUser", "modifiedDateTimeUtc", "modifiedByUser":
		return "", false
	case "isPrimary":
		return "setAsPrimary", true
	case "isSecondary":
		return "setAsSecondary", true
	case "state":
		return "stateCode", true
	case "country":
		return "countryCode", true
	default:
		return name, true
	}
}

// changePart returns the replacement of a part by itself with other fields.
func changePart(kind string, part gjson.Result, fields map[string]any) (ContactWrite, error) {
	body := map[string]any{}
	part.ForEach(func(name, value gjson.Result) bool {
		if written, ok := nameInWrites(name.Str); ok {
			body[written] = json.RawMessage(value.Raw)
		}
		return true
	})
	maps.Copy(body, fields)
	return newWrite(http.MethodPut, []string{kind, strconv.FormatInt(idAt(part, "id"), 10)}, body)
}

func newWrite(method string, path []string, fields map[string]any) (ContactWrite, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return ContactWrite{}, fmt.Errorf("write a part of a contact: %w", err)
	}
	return ContactWrite{method: method, path: path, body: body}, nil
}

// WriteContact writes one part of a contact. It makes one attempt; the same change again changes nothing, unless it adds a part: read the
// contact again before that. ErrDuplicate means that another contact has the email address; ErrUnknownAnswer, that it is not known whether it was made.
func (c *Client) WriteContact(ctx context.Context, write ContactWrite) error {
	r, err := c.do(ctx, call{method: write.method, path: write.path, body: write.body})
	if err == nil {
		err = statusFault(r, call{body: write.body})
		if errors.Is(err, ErrRejected) && saysDuplicate(r) {
			err = fault.Unknown("virtuous_duplicate", &AnswerError{Status: r.status, RequestID: r.requestID, err: ErrDuplicate})
		}
	}
	if err == nil && len(strings.TrimSpace(string(r.body))) > 0 && !gjson.ValidBytes(r.body) { // a page of a website wrote nothing
		err = unknownAnswer(r, "it is no JSON")
	}
	if err != nil {
		return fmt.Errorf("write a contact: %w", err)
	}
	return nil
}

// saysDuplicate reports whether a rejection is about an email address that another contact has: a 409, or a text that says so.
func saysDuplicate(r reply) bool {
	text := strings.ToLower(string(r.body))
	return r.status == http.StatusConflict ||
		strings.Contains(text, "email") && (strings.Contains(text, "duplicate") || strings.Contains(text, "already"))
}

// ContactByEmail looks up the contact that has an email address. ErrNotFound means that there is none.
func (c *Client) ContactByEmail(ctx context.Context, email string) (Contact, error) {
	r, err := c.read(ctx, call{method: http.MethodGet, path: []string{"Contact", "Find"}, query: url.Values{"email": {email}}})
	if err != nil {
		return Contact{}, fmt.Errorf("find a contact: %w", err)
	}
	value, err := objectOf(r)
	if err != nil {
		return Contact{}, fmt.Errorf("find a contact: %w", err)
	}
	contact, err := readContact(value)
	if err != nil {
		return Contact{}, fmt.Errorf("find a contact: %w", unknownAnswer(r, "it has no id"))
	}
	return contact, nil
}
