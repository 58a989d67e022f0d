package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// codeSaidNo is the code of a rejection in an answer with a status of success, if the destination sends no code
// itself.
const codeSaidNo = "errors_in_answer"

// object is a JSON object with case-sensitive names; the names of a struct's fields would match in any case.
type object map[string]json.RawMessage

// accepted returns what a status of success with this body means for one record. Many APIs answer 200 to a request
// that they understood, and report in the body that they rejected the record.
func accepted(status int, body []byte, pause time.Duration, externalID string) (destination.Result, error) {
	document := bytes.TrimPrefix(body, []byte("\ufeff"))
	if len(bytes.TrimSpace(document)) == 0 && status != http.StatusMultiStatus {
		return destination.Result{ExternalUserID: externalID}, nil
	}
	if !json.Valid(document) {
		return destination.Result{}, unclearAnswer(status, "a body that is not JSON")
	}
	top, entries := partsOf(document)
	for _, part := range append([]object{top}, entries...) {
		if why, failed := failureIn(part); failed {
			return meaningOf(why, status, pause, externalID)
		}
	}
	if status == http.StatusMultiStatus && !readable(top, entries) {
		return destination.Result{}, unclearAnswer(status, "no result that can be read")
	}
	id := idIn(top)
	if id == "" && len(entries) == 1 {
		id = idIn(entries[0])
	}
	if id == "" {
		id = externalID
	}
	return destination.Result{ExternalUserID: id}, nil
}

// partsOf returns the object at the top, and the entries of a list at the top or of results; an entry that is not an
// object becomes an empty one. The document is valid JSON.
func partsOf(document []byte) (top object, entries []object) {
	value := gjson.ParseBytes(document)
	list := value
	if value.IsObject() {
		top = objectOf(value)
		list = gjson.ParseBytes(top["results"])
	}
	if list.IsArray() {
		list.ForEach(func(_, entry gjson.Result) bool {
			entries = append(entries, objectOf(entry))
			return true
		})
	}
	return top, entries
}

// objectOf returns the members of an object. Of a name that occurs twice, the last one counts.
func objectOf(value gjson.Result) object {
	if !value.IsObject() {
		return nil
	}
	members := object{}
	value.ForEach(func(name, member gjson.Result) bool {
		members[name.String()] = json.RawMessage(member.Raw)
		return true
	})
	return members
}

// readable reports whether a 207 says of every part that it was accepted: several statuses in one answer are a
// success only if each of them is.
func readable(top object, entries []object) bool {
	said := func(part object) bool { return idIn(part) != "" || string(part["success"]) == "true" }
	return said(top) || len(entries) > 0 && !slices.ContainsFunc(entries, func(entry object) bool { return !said(entry) })
}

// failure is why a destination rejected a record, as far as the answer says so in machine-readable form.
type failure struct {
	code   string
	status int // the status that a PUT of the record would have had; 0 if the destination sends none
}

// failureIn looks for the marks of a failure: a non-empty errors, an error that is not empty, success: false, or
// numErrors above 0. Warnings are not failures.
func failureIn(part object) (why failure, failed bool) {
	count, _ := strconv.ParseFloat(string(part["numErrors"]), 64)
	failed = !isEmpty(part["errors"]) || !isEmpty(part["error"]) || string(part["success"]) == "false" || count > 0
	if !failed {
		return failure{}, false
	}
	var inner object
	if json.Unmarshal(part["error"], &inner) != nil || len(inner) == 0 {
		var list []json.RawMessage
		if json.Unmarshal(part["errors"], &list) == nil && len(list) > 0 {
			_ = json.Unmarshal(list[0], &inner)
		}
	}
	for _, raw := range []json.RawMessage{inner["code"], part["code"], inner["statusCode"]} {
		if why.code = strings.ToLower(text(raw)); why.code != "" {
			break
		}
	}
	_ = json.Unmarshal(inner["status"], &why.status) // a status of another type is ignored
	return why, true
}

// isEmpty reports whether a value is empty: missing, null, false, 0, or an empty text, list or object.
func isEmpty(raw json.RawMessage) bool {
	if len(raw) == 0 {
		return true
	}
	switch compact := string(bytes.Join(bytes.Fields(raw), nil)); compact {
	case "null", "false", "0", `""`, "[]", "{}":
		return true
	}
	return false
}

// meaningOf returns what a failure in the body of a success means, for the record or for the destination. status is
// the answer's own, pause its Retry-After.
func meaningOf(why failure, status int, pause time.Duration, externalID string) (destination.Result, error) {
	switch {
	case why.code == "stale":
		return destination.Result{ExternalUserID: externalID, Stale: true}, nil
	case why.status == http.StatusForbidden:
		return destination.Result{}, fmt.Errorf("in the answer's body: %w", destination.ErrForbidden)
	case why.status == http.StatusUnauthorized, why.status == 0 && why.code == "unauthorized":
		return destination.Result{}, fmt.Errorf("in the answer's body: %w", destination.ErrAuth)
	case why.status == http.StatusTooManyRequests, why.status == 0 && (why.code == "rate_limited" || why.code == "throttled"):
		return destination.Result{}, fault.Throttled("destination_throttled", pause, errors.New("the destination asks for fewer requests, in its answer's body"))
	case isRetryable(why.status) && pause > 0:
		return destination.Result{}, fault.Throttled("destination_throttled", pause, fmt.Errorf("the destination answered %d for the record", why.status))
	case isRetryable(why.status), why.status == 0 && slices.Contains(again(), why.code):
		return destination.Result{}, fault.Unknown("destination_not_yet", errors.New("the destination did not take the record this time"))
	}
	rejection := destination.NewRejection(status, why.code)
	if rejection.Code == destination.NewRejection(status, "").Code && succeeded(status) {
		rejection = destination.NewRejection(status, codeSaidNo)
	}
	return destination.Result{}, rejection
}

// isRetryable reports whether a status is temporary and not about the record.
func isRetryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func unclearAnswer(status int, what string) error {
	return fmt.Errorf("the destination answered %d with %s: %w", status, what, destination.ErrUnclear)
}
