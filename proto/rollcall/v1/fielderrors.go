package rollcallv1

import (
	"sort"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// FieldBody is the key of errors that concern a whole message and not one field.
const FieldBody = "body"

// FieldErrors are what is wrong with a message: by field path in lowerCamelCase, texts that name the remedy.
// They never quote a field's value: a value may be a secret or a person's.
type FieldErrors map[string][]string

// Add notes one error of a field.
func (e FieldErrors) Add(field, text string) { e[field] = append(e[field], text) }

// Error lists every field with its errors, in the order of the fields' names.
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

// Err is e as an error, nil where nothing is wrong.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// ListValues is the form that OnboardingRejected carries.
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
