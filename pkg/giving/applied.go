package giving

import (
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/pkg/giving/resolution"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const fieldVirtuousContact = "virtuousContactId"

// Applied is what a platform says that it has by now: Virtuous' values of fields of a contact.
type Applied struct {
	ReferenceID       string   // the platform's id of the contact; "": it is named by VirtuousContactID
	VirtuousContactID int64    // 0: it is named by ReferenceID
	Fields            []string // none: all that wait for the platform
}

// ParseApplied reads a message that was published for the customer, and returns what it says, or what is wrong with it, field by field.
func ParseApplied(data []byte, customer string) (Applied, rollcallv1.FieldErrors) {
	message := &rollcallv1.ContactApplied{}
	errs := rollcallv1.Decode(data, message)
	if len(errs) > 0 {
		return Applied{}, errs
	}
	validation{errs: errs}.customer(message.GetCustomerId(), customer)
	a := Applied{ReferenceID: message.GetReferenceId(), VirtuousContactID: message.GetVirtuousContactId(), Fields: message.GetFields()}
	a.check(errs)
	if len(errs) > 0 {
		return Applied{}, errs
	}
	return a, nil
}

// Check returns what is wrong with it, field by field.
func (a Applied) Check() rollcallv1.FieldErrors {
	errs := rollcallv1.FieldErrors{}
	a.check(errs)
	return errs
}

func (a Applied) check(errs rollcallv1.FieldErrors) {
	v := validation{errs: errs}
	switch {
	case a.ReferenceID == "" && a.VirtuousContactID == 0:
		v.addOnce(fieldReference, "is missing: give the platform's id of the contact, or "+fieldVirtuousContact)
	case a.ReferenceID != "" && a.VirtuousContactID != 0:
		v.addOnce(fieldVirtuousContact, "names a contact that "+fieldReference+" names already: leave one of them out")
	case a.VirtuousContactID < 0:
		v.addOnce(fieldVirtuousContact, "must be the id of a contact at Virtuous, such as 501")
	case a.VirtuousContactID == 0:
		if wrong := wrongID(a.ReferenceID); wrong != "" {
			v.addOnce(fieldReference, wrong)
		}
	}
	known := resolution.Fields()
	for i, field := range a.Fields {
		if !slices.Contains(known, field) {
			v.addOnce(fmt.Sprintf("fields[%d]", i), "is no field that is compared: give some of "+strings.Join(known, ", ")+", or leave fields out for all")
		}
	}
}
