package virtuous

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// The functions here read single values of JSON that json.Valid has accepted. encoding/json does not fit: it matches
// names without regard to case, and one value of an unexpected type would fail the whole record.

// document returns the value in a body, without a leading byte order mark; ok is false if the body is not JSON.
func document(body []byte) (value gjson.Result, ok bool) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if !json.Valid(body) {
		return gjson.Result{}, false
	}
	return gjson.ParseBytes(body), true
}

// isNone reports whether a value is missing or null.
func isNone(value gjson.Result) bool { return value.Type == gjson.Null }

// readID returns the id in a value: a whole number above 0, or a text of one.
func readID(value gjson.Result) (id int64, ok bool) {
	text := value.Raw
	switch value.Type {
	case gjson.String:
		text = strings.TrimSpace(value.Str)
	case gjson.Number:
	case gjson.Null, gjson.False, gjson.True, gjson.JSON:
		return 0, false
	}
	if strings.HasPrefix(text, "+") {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil && id > 0
}

// readText returns the text of a string or a number, "" if the value is missing or null. ok is false for any other value.
// The text has no NUL and no broken character, so that a database can keep it.
func readText(value gjson.Result) (text string, ok bool) {
	switch value.Type {
	case gjson.Null:
		return "", true
	case gjson.String:
		return strings.ReplaceAll(strings.ToValidUTF8(value.Str, "\ufffd"), "\x00", ""), true
	case gjson.Number:
		return value.Raw, true
	case gjson.False, gjson.True, gjson.JSON:
	}
	return "", false
}

// textAt returns the text of a member, "" if it has none.
func textAt(object gjson.Result, name string) string {
	text, _ := readText(object.Get(name))
	return text
}

// idAt returns the id of a member, 0 if it has none.
func idAt(object gjson.Result, name string) int64 {
	id, _ := readID(object.Get(name))
	return id
}

// boolAt returns a member that is a boolean, or a text or number of one.
func boolAt(object gjson.Result, name string) bool {
	value := object.Get(name)
	return value.Type == gjson.True || value.Type == gjson.String && strings.EqualFold(value.Str, "true")
}

// moneyAt returns the amount of a member; ok is false if it has none.
func moneyAt(object gjson.Result, name string) (money Money, ok bool) {
	text, ok := readText(object.Get(name))
	if !ok || text == "" {
		return Money{}, false
	}
	money, err := ParseMoney(text)
	return money, err == nil
}

// timeAt returns the time of a member, the zero time if it has none.
func timeAt(object gjson.Result, name string) time.Time {
	at, err := ParseTime(textAt(object, name))
	if err != nil {
		return time.Time{}
	}
	return at
}

// dateAt returns the date of a member, the zero Date if it has none.
func dateAt(object gjson.Result, name string) Date {
	date, err := ParseDate(textAt(object, name))
	if err != nil {
		return Date{}
	}
	return date
}

// customFields returns the custom fields of a record: a map in webhooks, a list of names and values in answers. Fields
// without a value are left out, because only the map has them.
func customFields(value gjson.Result) map[string]string {
	fields := map[string]string{}
	put := func(name string, value gjson.Result) {
		text, plain := readText(value)
		if !plain {
			text = value.Raw
		}
		if text != "" && name != "" {
			fields[name] = text
		}
	}
	switch {
	case value.IsObject():
		value.ForEach(func(name, value gjson.Result) bool { put(textOr(name), value); return true })
	case value.IsArray():
		value.ForEach(func(_, field gjson.Result) bool {
			if field.IsObject() {
				put(textAt(field, "name"), field.Get("value"))
			}
			return true
		})
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

func textOr(value gjson.Result) string {
	text, _ := readText(value)
	return text
}
