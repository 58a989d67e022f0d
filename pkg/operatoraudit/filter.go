package operatoraudit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// hidden stands for a text that may be a secret or a person's.
const hidden = "…"

// maxListed is how many entries of a list are kept.
const maxListed = 20

// shownFields are the fields whose texts are ids, times, or words of our own.
var shownFields = []string{ //nolint:gochecknoglobals // a constant list
	"action", "asOf", "backfill", "category", "customerId", "decision", "destinationChange", "entity", "errorClass", "errorCode", "fields", "from", "id",
	"ids", "kind", "outcome", "platformDonationId", "recordId", "referenceId", "rights", "role", "since", "state", "to", "topics",
	"unset", "verb", "vomoId", "vomoIds", "weekdays",
}

// idOrWord matches no address, no URL, and no text of several words.
var idOrWord = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// FilterOf returns what a row keeps of a request: a message or the question of an API endpoint.
func FilterOf(request any) (json.RawMessage, error) {
	fields, err := fieldsOf(request)
	if err != nil {
		return nil, err
	}
	return encode(shown(fields, "", false))
}

// ResultOf returns what a row keeps of an answer: its counts and states, and the lengths of its lists; nil if there is nothing.
func ResultOf(answer any) (json.RawMessage, error) {
	fields, err := fieldsOf(answer)
	if err != nil {
		return nil, err
	}
	kept := map[string]any{}
	for name, value := range fields {
		switch value := value.(type) {
		case bool, json.Number:
			kept[name] = value
		case string:
			if text := shownText(name, value); text != hidden {
				kept[name] = text
			}
		case []any:
			kept[name] = len(value)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	return encode(kept)
}

// fieldsOf returns the fields of a JSON object; none for anything else.
func fieldsOf(of any) (map[string]any, error) {
	data, err := json.Marshal(of)
	if err != nil {
		return nil, fmt.Errorf("encode for the audit: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("encode for the audit: %w", err)
	}
	fields, _ := value.(map[string]any)
	return fields, nil
}

// shown returns a value with hidden texts. name is the name of the field that has the value.
func shown(value any, name string, inList bool) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(value))
		for field, below := range value {
			if below != nil {
				kept[field] = shown(below, field, false)
			}
		}
		return kept
	case []any:
		if inList {
			return hidden
		}
		kept := make([]any, 0, min(len(value), maxListed+1))
		for _, entry := range value[:min(len(value), maxListed)] {
			kept = append(kept, shown(entry, name, true))
		}
		if more := len(value) - maxListed; more > 0 {
			kept = append(kept, fmt.Sprintf("and %d more", more))
		}
		return kept
	case string:
		return shownText(name, value)
	}
	return value // a number, true or false
}

func shownText(name, text string) string {
	if text == "" || (slices.Contains(shownFields, name) && idOrWord.MatchString(text)) {
		return text
	}
	return hidden
}

func encode(value any) (json.RawMessage, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode for the audit: %w", err)
	}
	return data, nil
}

// CustomerOf returns the customer that a request names in the field customerId, "" if it names none. Callers may have
// written anything there.
func CustomerOf(request any) string {
	fields, err := fieldsOf(request)
	if err != nil {
		return ""
	}
	customer, _ := fields["customerId"].(string)
	if customer == rollcallv1.UnknownCustomer || rollcallv1.ValidCustomerID(customer) {
		return customer
	}
	return ""
}
