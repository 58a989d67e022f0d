package delivery

import (
	"encoding/json"
	"strconv"

	"rollcall.dev/services/sandbox/internal/gifts"
)

// oddity returns the odd form that an event's record has in its delivery, or "".
func oddity(is gifts.Identity, event *gifts.Event) string {
	if event.Draw(is.Seed, "odd") >= is.Settings.Webhooks.Odd {
		return ""
	}
	all := []string{"null", "empty", "twice", "untimed", "texts"}
	return all[int(event.Draw(is.Seed, "which odd form")*float64(len(all)))]
}

// beside returns what stands before a record in the list of the bulk envelope.
func beside(is gifts.Identity, event *gifts.Event) []any {
	switch oddity(is, event) {
	case "null":
		return []any{nil}
	case "empty":
		name := "gift"
		if event.Contact != nil {
			name = "contact"
		}
		return []any{map[string]any{name: nil}}
	}
	return nil
}

// bent returns a record without the time of its last change, or with ids and amounts as texts, if the event's oddity is one of
// these.
func bent(is gifts.Identity, event *gifts.Event, record any) any {
	odd := oddity(is, event)
	if odd != "untimed" && odd != "texts" {
		return record
	}
	written, err := json.Marshal(record)
	if err != nil {
		return record // it is written again, and fails there
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(written, &fields); err != nil {
		return record
	}
	if odd == "untimed" {
		delete(fields, "modifiedDateTimeUtc")
		return fields
	}
	for _, name := range []string{"id", "contactId"} {
		if value, found := fields[name]; found {
			fields[name] = strconv.AppendQuote(nil, string(value))
		}
	}
	if shown, found := fields["amountFormatted"]; found {
		fields["amount"] = shown
	}
	return fields
}
