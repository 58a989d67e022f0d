package rollcallv1

import (
	"sort"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// FieldBody is the key of errors about the whole message.
const FieldBody = "body"

// FieldErrors lists what is wrong with a message: by field path in lowerCamelCase, with texts that say how to fix it.
// They never quote a field's value, which may be a secret or personal data.
type FieldErrors map[string][]string

// Add adds one error of a field.
func (e FieldErrors) Add(field, text string) { e[field] = append(e[field], text) }

// Error returns all fields with their errors, sorted by field name.
func (e FieldErrors) Error() string {
	fields := make([]string, 0, len(e))
	for field := range e {
		fields = append(fields, field)
	}
	sort.Strings(fields)
	parts := make([]string, 0, len(e))
	for _, field := range fields {
		parts = append(parts, field+": "+strings.Join(e[field], "; "))
	}
	return strings.Join(parts, "; ")
}

// Err returns e as an error, nil if there are no errors.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// ListValues returns the errors in the form that OnboardingRejected carries.
func (e FieldErrors) ListValues() map[string]*structpb.ListValue {
	lists := make(map[string]*structpb.ListValue, len(e))
	for field, texts := range e {
		list := &structpb.ListValue{}
		for _, text := range texts {
			list.Values = append(list.Values, structpb.NewStringValue(text))
		}
		lists[field] = list
	}
	return lists
}
