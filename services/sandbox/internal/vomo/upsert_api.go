package vomo

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/traffic"
)

const maxText = 255 // characters of one field

func (a *API) upsert(w *traffic.Recorder, r *http.Request, o *Organisation) {
	body, err := answer.Body(w, r)
	if errors.Is(err, answer.ErrTooLarge) {
		Refuse(w, http.StatusRequestEntityTooLarge, "")
		return
	}
	var sent map[string]any
	if err != nil || json.Unmarshal(body, &sent) != nil {
		sent = nil // Laravel treats a body that is no JSON as one without fields
	}
	fields, errs := fieldsOf(sent)
	if len(errs) > 0 {
		invalid(w, errs)
		return
	}
	user, created := o.Upsert(fields, a.NowFunc())
	status, message := http.StatusOK, "User updated."
	if created {
		status, message = http.StatusCreated, "User created."
	}
	answer.JSON(w, status, map[string]any{"code": strconv.Itoa(status), "message": message, "data": detailOf(o, user)})
}

// form checks the fields of a request.
type form struct {
	sent map[string]any
	errs map[string][]string
}

func fieldsOf(sent map[string]any) (Fields, map[string][]string) {
	f := form{sent: sent, errs: map[string][]string{}}
	fields := Fields{
		FirstName: f.required("first_name"),
		LastName:  f.required("last_name"),
		Email:     f.required("email"),
		Birthday:  f.required("birthday"),
		Gender:    f.required("gender"),
		Phone:     f.optional("phone"),
		Address:   f.optional("address"),
		Role:      f.optional("role"),
	}
	f.check("email", validEmail(fields.Email), "The email must be a valid email address.")
	_, err := time.Parse(time.DateOnly, fields.Birthday)
	f.check("birthday", err == nil, "The birthday does not match the format Y-m-d.")
	f.check("gender", slices.Contains([]string{"M", "F", "N"}, fields.Gender), "The selected gender is invalid.")
	if fields.Role != nil {
		f.check("role", slices.Contains([]string{"VOLUNTEER", "ORGANIZER", "ADMIN"}, *fields.Role), "The selected role is invalid.")
	}
	if password := f.optional("password"); password != nil {
		f.check("password", validPassword(*password), "The password must be at least 10 characters and contain letters and digits.")
	}
	f.optional("org")
	f.optional("invite_code")
	return fields, f.errs
}

// optional returns a field's trimmed text, or nil for one that is missing, null or empty.
func (f form) optional(field string) *string {
	value, found := f.sent[field]
	if !found || value == nil {
		return nil
	}
	text, isText := value.(string)
	if !isText {
		f.check(field, false, "The "+words(field)+" must be a string.")
		return nil
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	f.check(field, utf8.RuneCountInString(text) <= maxText, "The "+words(field)+" may not be greater than 255 characters.")
	return &text
}

func (f form) required(field string) string {
	text := f.optional(field)
	if text == nil {
		f.check(field, false, "The "+words(field)+" field is required.")
		return ""
	}
	return *text
}

// check records the text unless the field is fine. Only the first error of a field is kept.
func (f form) check(field string, fine bool, text string) {
	if !fine && len(f.errs[field]) == 0 {
		f.errs[field] = []string{text}
	}
}

func validEmail(text string) bool {
	address, err := mail.ParseAddress(text)
	return err == nil && address.Address == text
}

func validPassword(text string) bool {
	return utf8.RuneCountInString(text) >= 10 && strings.ContainsFunc(text, unicode.IsLetter) && strings.ContainsFunc(text, unicode.IsDigit)
}
