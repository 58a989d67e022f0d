package rollcallv1

import (
	"net/mail"
	"slices"
	"strings"
	"time"
)

// WriteBackFields returns the fields that an external system may own, as they are named in messages and settings.
func WriteBackFields() []string {
	return []string{"firstName", "lastName", "phone", "birthday", "gender"}
}

// fieldWriteBack is the name of the list in errors.
const fieldWriteBack = "writeBack.fields"

// validate checks which fields are named. Without the setting there is nothing to check.
func (w *WriteBack) validate(errs FieldErrors) {
	if w == nil {
		return
	}
	if len(w.GetFields()) == 0 {
		errs.Add(fieldWriteBack, "is missing: name the fields that the external system owns, or leave writeBack out")
	}
	for i, field := range w.GetFields() {
		switch {
		case field == "email":
			errs.Add(fieldWriteBack, "names email, which is never written: VOMO finds users by their address, and another address would be another user; leave it out")
		case slices.Contains(w.GetFields()[:i], field):
			errs.Add(fieldWriteBack, "names a field twice")
		case slices.Contains(WriteBackFields(), field):
		case presentableName.MatchString(field):
			errs.Add(fieldWriteBack, "names "+field+", which cannot be written back: name some of "+strings.Join(WriteBackFields(), ", "))
		default:
			errs.Add(fieldWriteBack, "has a field whose name this version does not know: name some of "+strings.Join(WriteBackFields(), ", "))
		}
	}
}

// maxWritebackBytes limits each text of a write-back; VOMO accepts 255 characters.
const maxWritebackBytes = 1024

// Values returns the fields of a user that the request has, by their names in messages.
func (r *WritebackRequest) Values() map[string]string {
	values := map[string]string{}
	for name, value := range map[string]*string{ //nolint:protogetter // whether a field is there matters
		"email": r.Email, "firstName": r.FirstName, "lastName": r.LastName, "phone": r.Phone, "birthday": r.Birthday, "gender": r.Gender,
	} {
		if value != nil {
			values[name] = strings.TrimSpace(*value)
		}
	}
	return values
}

// Validate returns what is wrong with a request published under subjectCustomer. No error has a value of the request.
func (r *WritebackRequest) Validate(subjectCustomer string) FieldErrors {
	errs := FieldErrors{}
	validateCustomer(errs, r.GetCustomerId(), subjectCustomer)
	if r.GetExternalUserId() == "" && r.GetVomoUserId() == "" {
		errs.Add("externalUserId", "is missing: give externalUserId or vomoUserId")
	}
	for name, id := range map[string]string{"externalUserId": r.GetExternalUserId(), "vomoUserId": r.GetVomoUserId()} {
		if len(id) > maxIDBytes || strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			errs.Add(name, "is no id: it is longer than 128 bytes, or has a control character")
		}
	}
	values := r.Values()
	if len(values) == 0 {
		errs.Add(FieldBody, "has no field to write")
	}
	for name, value := range values {
		checkValue(errs, name, value)
	}
	return errs
}

func checkValue(errs FieldErrors, name, value string) {
	switch {
	case value == "" && name == "phone":
		errs.Add(name, "is empty, and VOMO documents no way to remove a phone number: remove it in VOMO by hand, publish the request's other fields "+
			"again without it, and discard the letter")
	case value == "":
		errs.Add(name, "is empty, and VOMO requires it: leave the field out to keep what VOMO has")
	case len(value) > maxWritebackBytes || strings.IndexByte(value, 0) >= 0:
		errs.Add(name, "is longer than 1024 bytes, or has a NUL character")
	case name == "email" && !isAddress(value):
		errs.Add(name, "is not an e-mail address")
	case name == "birthday" && !isDate(value):
		errs.Add(name, "must be a date such as 1990-04-02")
	case name == "gender" && value != "M" && value != "F" && value != "N":
		errs.Add(name, "must be M, F or N")
	}
}

const maxIDBytes = 128

func isAddress(text string) bool {
	parsed, err := mail.ParseAddress(text)
	return err == nil && parsed.Address == text
}

func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}
