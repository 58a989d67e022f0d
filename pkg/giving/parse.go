package giving

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Parse reads a message that was published for the customer, and returns the donation in its canonical form, or what is wrong with the
// message, field by field. zone is the organization's; nil is UTC.
func Parse(data []byte, customer string, zone *time.Location) (Donation, rollcallv1.FieldErrors) {
	message := &rollcallv1.Donation{}
	errs := rollcallv1.Decode(data, message)
	if len(errs) > 0 {
		return Donation{}, errs
	}
	v := validation{errs: errs}
	d := v.donation(message, customer, zone)
	d.VirtuousFields = v.virtuousFields(data, transactionFields)
	if len(errs) > 0 {
		return Donation{}, errs
	}
	return d, nil
}

// IDOf returns the donation's id as an invalid message has it, "" if it has none that can be shown.
func IDOf(data []byte) string { return idAt(data, fieldID, "platform_donation_id") }

// idAt returns the first valid id that a message has under one of these names.
func idAt(data []byte, names ...string) string {
	var named map[string]json.RawMessage
	if json.Unmarshal(rollcallv1.TrimByteOrderMark(data), &named) != nil {
		return ""
	}
	for _, name := range names {
		var id string
		if json.Unmarshal(named[name], &id) == nil && wrongID(id) == "" {
			return id
		}
	}
	return ""
}

// virtuousFields reads the object from the message itself: in protobuf, its numbers would be floating-point numbers. known are the names of the
// fields that are passed on.
func (v validation) virtuousFields(data []byte, known string) map[string]any {
	var message map[string]json.RawMessage
	if err := decode(rollcallv1.TrimByteOrderMark(data), &message); err != nil {
		v.errs.Add(rollcallv1.FieldBody, "is not a JSON object")
		return nil
	}
	raw := message["virtuousFields"]
	if raw == nil {
		raw = message["virtuous_fields"]
	}
	if raw == nil {
		return nil
	}
	var fields map[string]any
	if err := decode(raw, &fields); err != nil {
		v.errs.Add(fieldVirtuous, "has the wrong type: expected an object")
		return nil
	}
	for name, value := range fields {
		switch {
		case !isNameIn(known, name) && len(name) <= maxNameBytes && isLetters(name):
			v.errs.Add(fieldVirtuous+"."+name, "is no field that is passed on: leave it out, or check the spelling")
		case !isNameIn(known, name):
			v.addOnce(fieldVirtuous, "has a field whose name this version does not know")
		case value == nil:
			delete(fields, name) // null means absent, as in the rest of the message
		case hasNUL(value):
			v.errs.Add(fieldVirtuous+"."+name, "has a NUL character")
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// transactionFields are the fields of a transaction that a message may have in virtuousFields. The others come from the donation, the
// customer's settings, or nowhere.
const transactionFields = ` frequency recurringGiftTransactionId recurringGiftTransactionUpdate pledgeFrequency pledgeTransactionId
 pledgeExpectedFullfillmentDate passthroughContact giftPassthroughs tribute tributeDedication premiums customFields customObjects segment
 mediaOutlet batch notes receiptDate receiptSegment cancelDate exchangeRate isPrivate isTaxDeductible checkNumber creditCardType
 cashAccountingCode contactIndividualId nonCashGiftTypeId nonCashGiftType nonCashGiftDescription stockTickerSymbol stockNumberOfShares
 iraCustodian submissionUrl eventAttendee `

func isNameIn(names, name string) bool {
	for field := range strings.FieldsSeq(names) {
		if field == name {
			return true
		}
	}
	return false
}

// hasNUL reports whether a text anywhere in the value has a NUL character, which no text of Virtuous has.
func hasNUL(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.ContainsRune(value, 0)
	case []any:
		return slices.ContainsFunc(value, hasNUL)
	case map[string]any:
		for name, member := range value {
			if strings.ContainsRune(name, 0) || hasNUL(member) {
				return true
			}
		}
	}
	return false
}
