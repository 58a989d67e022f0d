package virtuous

import (
	"errors"
	"net/http"

	"rollcall.dev/services/sandbox/internal/gifts"
)

func (a *API) addMethod(c *call)     { a.writeMethod(c, 0) }
func (a *API) replaceMethod(c *call) { a.writeMethod(c, c.id()) }

func (a *API) writeMethod(c *call, id int64) {
	var write gifts.MethodWrite
	if decode(c.body, &write) != nil || write.Value == "" || write.Type == "" {
		c.invalid("contactMethod.Value", "INVALID", "The Value and Type fields are required.")
		return
	}
	changed, err := c.o.WriteMethod(c.now, id, write)
	if duplicate := (*gifts.DuplicateEmail)(nil); errors.As(err, &duplicate) {
		c.refuse(refusal{status: http.StatusConflict, code: "Conflict", message: "A contact with this email already exists."})
		return
	}
	a.answerWritten(c, changed)
}

func (a *API) addAddress(c *call)     { a.writeAddress(c, 0) }
func (a *API) replaceAddress(c *call) { a.writeAddress(c, c.id()) }

func (a *API) writeAddress(c *call, id int64) {
	var write gifts.AddressWrite
	if decode(c.body, &write) != nil || write.Line1 == "" {
		c.invalid("contactAddress.Address1", "INVALID", "The Address1 field is required.")
		return
	}
	changed, _ := c.o.WriteAddress(c.now, id, write)
	a.answerWritten(c, changed)
}

func (a *API) replaceIndividual(c *call) {
	var write gifts.IndividualWrite
	if decode(c.body, &write) != nil || write.LastName == "" {
		c.invalid("contactIndividual.LastName", "INVALID", "The LastName field is required.")
		return
	}
	changed, _ := c.o.WriteIndividual(c.now, c.id(), write)
	a.answerWritten(c, changed)
}

// answerWritten answers a write with the contact, or 404 if there is no such part.
func (a *API) answerWritten(c *call, changed *gifts.Contact) {
	if changed == nil {
		c.notFound("The part of a contact")
		return
	}
	c.json(ContactRecord(c.o, changed, Single, c.now))
}
