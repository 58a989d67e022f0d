package virtuous

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	maxProblems  = 20
	maxFieldName = 120
	maxCode      = 48
)

// problemsOf returns the fields and codes that an answer names, in any of the shapes in use:
//
//	{"error":{"code":…,"details":[{"field":…,"code":…}]}}
//	{"error":"NotFound","errors":{"field":[…]}}
//	{"errors":[{"field":…,"code":…}]}
//	{"message":…,"modelState":{"field":[…]}}
//
// Texts, HTML and empty bodies name none. Only the vendor's own names are kept: a field by the words that the API's
// fields consist of, and a code if it looks like one and does not stand in the request, which may have a donor's data.
func problemsOf(answer, request []byte) []Problem {
	body, ok := document(answer)
	if !ok || !body.IsObject() {
		return nil
	}
	var problems []Problem
	add := func(field, code string) {
		found := Problem{Field: knownField(field), Code: knownCode(code, request)}
		if found != (Problem{}) && len(problems) < maxProblems && !slices.Contains(problems, found) {
			problems = append(problems, found)
		}
	}
	failure := body.Get("error")
	for _, list := range []gjson.Result{failure.Get("details"), body.Get("errors"), body.Get("details")} {
		for detail := range objects(list) {
			add(textAt(detail, "field"), textAt(detail, "code"))
		}
	}
	for _, fields := range []gjson.Result{body.Get("modelState"), body.Get("ModelState"), body.Get("errors"), failure.Get("errors")} {
		if fields.IsObject() {
			fields.ForEach(func(field, _ gjson.Result) bool { add(textOr(field), ""); return true })
		}
	}
	if len(problems) == 0 {
		add("", textOr(failure)+textAt(failure, "code"))
	}
	return problems
}

// describe returns problems as a text for people: "amount MUST_BE_POSITIVE, giftDate REQUIRED".
func describe(problems []Problem) string {
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = problem.String()
	}
	return strings.Join(texts, ", ")
}

// unknownPart stands for a part of a field's name that is no field of the API, and might be text from the request.
const unknownPart = "(unknown)"

// knownField returns the path of a field, such as "transaction.designations[0].code", with unknownPart for its parts that
// are no fields of the API.
func knownField(path string) string {
	if path == "" || len(path) > maxFieldName {
		return ""
	}
	parts := strings.Split(path, ".")
	for i, part := range parts {
		name, index, indexed := strings.Cut(part, "[")
		if indexed && strings.Trim(index, "0123456789") != "]" || !isFieldName(name) {
			parts[i] = unknownPart
		}
	}
	return strings.Join(parts, ".")
}

// knownCode returns a code, or "" for a text that is none or that is part of the request.
func knownCode(code string, request []byte) string {
	if code == "" || len(code) > maxCode || bytes.Contains(bytes.ToLower(request), []byte(strings.ToLower(code))) {
		return ""
	}
	if strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return code
	}
	for word := range strings.FieldsSeq("NotFound BadRequest Unauthorized Forbidden Conflict InvalidRequest ValidationFailed UnprocessableEntity Duplicate") {
		if word == code {
			return code
		}
	}
	return ""
}

// isFieldName reports whether a word is the name of a field of the API, in any case.
func isFieldName(name string) bool {
	for field := range strings.FieldsSeq(fieldNames) {
		if strings.EqualFold(field, name) {
			return true
		}
	}
	return false
}

// fieldNames are the fields of transactions, contacts, queries, subscriptions and projects, and the names of the
// arguments that hold them.
const fieldNames = `
	transaction transactions giftTransaction giftTransactions contactTransaction contact contacts gift gifts model request query project webhook subscription
	transactionSource transactionId contactId giftDate cancelDate giftType amount currencyCode exchangeRate frequency recurringGiftTransactionId
	recurringGiftTransactionUpdate pledgeFrequency pledgeTransactionId pledgeExpectedFullfillmentDate batch batchTotal notes segment segmentCode mediaOutlet
	receiptDate receiptSegment cashAccountingCode tribute tributeDedication isPrivate isTaxDeductible checkNumber creditCardType nonCashGiftTypeId nonCashGiftType
	nonCashGiftDescription stockTickerSymbol stockNumberOfShares iraCustodian submissionUrl designations giftDesignations premiums giftPremiums customFields
	customObjects contactIndividualId passthroughContact giftPassthroughs eventAttendee createImport importName defaultGiftDate defaultGiftType
	id name code quantity fields fieldName fieldName2 value values dataType projectId projectCode project amountDesignated state
	referenceSource referenceId type contactType title firstName middleName lastName suffix prefix birthMonth birthDay birthYear birthDate gender emailType email
	phoneType phone address address1 address2 city stateCode postal country countryCode tags emailLists originSegmentCode eventId eventName invited rsvp
	rsvpResponse attended volunteerAttendances volunteerOpportunityId volunteerOpportunityName date hours
	tributeId tributeType tributeFirstName tributeLastName tributeCity tributeState acknowledgeeIndividualId acknowledgeeFirstName acknowledgeeLastName
	acknowledgeeAddress acknowledgeeCity acknowledgeeState acknowledgeePostal acknowledgeeEmail acknowledgeePhone
	groups conditions parameter operator secondaryValue sortBy descending skip take includeArchived queryLocation
	payloadUrl secret active contactCreate contactUpdate contactNoteCreate contactNoteUpdate contactNoteDelete giftCreate giftUpdate giftDelete projectCreate
	projectUpdate projectDelete formSubmission eventCreate eventUpdate eventDelete`
