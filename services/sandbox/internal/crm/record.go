package crm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"time"
)

// Record is a user as the REST contract sends it. Null stays null.
type Record struct {
	ExternalID      string          `json:"external_id"`
	Email           *string         `json:"email"`
	FirstName       *string         `json:"first_name"`
	LastName        *string         `json:"last_name"`
	Phone           *string         `json:"phone"`
	CustomFields    json.RawMessage `json:"custom_fields"` // an object
	SourceUpdatedAt time.Time       `json:"source_updated_at"`

	missing []string // the fields that a write left out: the stored values stay
}

// Refusal says why a record was rejected. The sender gets the code and the message.
type Refusal struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error returns the code and the message. They never quote the record.
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

const maxExternalID = 255 // bytes

// parse decodes a record and checks it. Errors: *Refusal.
func parse(body []byte) (Record, error) {
	if !json.Valid(body) {
		return Record{}, &Refusal{Status: 400, Code: "bad_json", Message: "the body is not valid JSON"}
	}
	var record Record
	if err := json.Unmarshal(body, &record); err != nil {
		wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
		switch {
		case isType && wrong.Field == "":
			return Record{}, invalid("the record is not an object")
		case isType:
			return Record{}, invalid("field " + wrong.Field + " has the wrong type")
		}
		return Record{}, invalid("field source_updated_at is not an RFC 3339 time")
	}
	switch {
	case record.ExternalID == "":
		return Record{}, invalid("field external_id is required")
	case len(record.ExternalID) > maxExternalID:
		return Record{}, invalid("field external_id is too long")
	case record.SourceUpdatedAt.IsZero():
		return Record{}, invalid("field source_updated_at is required")
	}
	custom := bytes.TrimSpace(record.CustomFields)
	if len(custom) > 0 && custom[0] != '{' && !bytes.Equal(custom, []byte("null")) {
		return Record{}, invalid("field custom_fields is not an object")
	}
	record.CustomFields = bytes.Clone(custom) // not the request's whole buffer
	var sent map[string]json.RawMessage
	_ = json.Unmarshal(body, &sent) // it is an object
	for _, field := range []string{"email", "first_name", "last_name", "phone"} {
		if _, found := sent[field]; !found {
			record.missing = append(record.missing, field)
		}
	}
	return record, nil
}

// over returns the record as it is after the write, if stored is what it replaces.
func (r Record) over(stored Record) Record {
	for _, field := range r.missing {
		switch field {
		case "email":
			r.Email = stored.Email
		case "first_name":
			r.FirstName = stored.FirstName
		case "last_name":
			r.LastName = stored.LastName
		case "phone":
			r.Phone = stored.Phone
		}
	}
	r.missing = nil
	return r
}

func invalid(message string) *Refusal {
	return &Refusal{Status: 422, Code: "invalid", Message: message}
}

// recordID returns the CRM's own id of a record. The names determine it, so that a sandbox without a state file gives
// the same ids after a restart.
func recordID(tenant, externalID string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(tenant + "/" + externalID)) // a hash never fails
	return fmt.Sprintf("crm-%016x", sum.Sum64())
}

// same reports whether two records are equal: the same instant, and the same custom fields in any order.
func (r Record) same(other Record) bool {
	texts := func(r Record) []*string {
		return []*string{&r.ExternalID, r.Email, r.FirstName, r.LastName, r.Phone}
	}
	return r.SourceUpdatedAt.Equal(other.SourceUpdatedAt) && sameJSON(r.CustomFields, other.CustomFields) &&
		slices.EqualFunc(texts(r), texts(other), func(a, b *string) bool {
			return a == b || a != nil && b != nil && *a == *b
		})
}

func sameJSON(a, b json.RawMessage) bool {
	return bytes.Equal(a, b) || reflect.DeepEqual(decoded(a), decoded(b))
}

// decoded returns nil for null and for an empty text. Numbers stay text: large ones would lose digits.
func decoded(text json.RawMessage) (value any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&value) // parse has checked it, or it is empty
	return value
}
