package virtuous

import (
	"encoding/json"
	"net/http"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// contactTransaction is the body of a contact's transaction, which is flat. Names that no contact shows are accepted and ignored, but kept in the
// ledger.
type contactTransaction struct {
	ReferenceSource text `json:"referenceSource"`
	ReferenceID     text `json:"referenceId"`
	ContactType     text `json:"contactType"`
	Name            text `json:"name"`
	FirstName       text `json:"firstName"`
	LastName        text `json:"lastName"`
	EmailType       text `json:"emailType"`
	Email           text `json:"email"`
	PhoneType       text `json:"phoneType"`
	Phone           text `json:"phone"`
	Address1        text `json:"address1"`
	Address2        text `json:"address2"`
	City            text `json:"city"`
	State           text `json:"state"`
	Postal          text `json:"postal"`
	Country         text `json:"country"`
	Tags            text `json:"tags"`
}

func (t contactTransaction) person() gifts.Person {
	return gifts.Person{
		ReferenceID: string(t.ReferenceID), Name: string(t.Name), Type: string(t.ContactType), FirstName: string(t.FirstName), LastName: string(t.LastName),
		EmailType: string(t.EmailType), Email: string(t.Email), PhoneType: string(t.PhoneType), Phone: string(t.Phone), Address1: string(t.Address1),
		Address2: string(t.Address2), City: string(t.City), State: string(t.State), Postal: string(t.Postal), Country: string(t.Country), Tags: string(t.Tags),
	}
}

func (t contactTransaction) problems() []gifts.Problem {
	var problems []gifts.Problem
	for _, required := range []struct {
		field, label string
		given        bool
	}{
		{"referenceSource", "Reference Source", t.ReferenceSource != ""},
		{"referenceId", "Reference Id", t.ReferenceID != ""},
		{"name", "Name", t.Name != "" || t.FirstName != "" || t.LastName != ""},
	} {
		if !required.given {
			problems = append(problems, gifts.Problem{Field: "transaction." + required.field, Code: "REQUIRED", Text: required.label + " is required."})
		}
	}
	return problems
}

// submitContact accepts the transaction of a contact. Its success has no body and no id.
func (a *API) submitContact(c *call) {
	var asked contactTransaction
	if err := decode(c.body, &asked); err != nil {
		c.invalid("transaction", "INVALID", "The transaction is not valid.")
		return
	}
	if problems := asked.problems(); len(problems) > 0 {
		c.refuse(refusal{status: http.StatusBadRequest, problems: problems})
		return
	}
	err := c.o.SubmitContact(c.now, string(asked.ReferenceSource), asked.person(), json.RawMessage(c.body))
	if refused := c.refusalOf(err); refused != nil {
		c.refuse(*refused)
		return
	}
	c.done()
}
