package vomo

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
)

const (
	// maxIDBytes is far above every id seen; it keeps ids usable as keys and in message headers.
	maxIDBytes = 128
	// maxEmailBytes keeps emails usable in an index of Postgres, whose entries end at 2,704 bytes: a longer one
	// would fail its page's transaction, again and again. The longest address that mail knows has 320.
	maxEmailBytes = 1024
	maxTextBytes  = 64 << 10
)

type wireUser struct {
	ID               json.RawMessage `json:"id"`
	FirstName        *string         `json:"first_name"`
	LastName         *string         `json:"last_name"`
	FullName         *string         `json:"full_name"`
	Email            *string         `json:"email"`
	Address          *string         `json:"address"`
	Phone            *string         `json:"phone"`
	Birthday         *string         `json:"birthday"`
	Gender           *string         `json:"gender"`
	UserStatus       *string         `json:"user_status"`
	MembershipStatus *string         `json:"membership_status"`
	MembershipRole   *string         `json:"membership_role"`
	CreatedAt        *string         `json:"created_at"`
	UpdatedAt        *string         `json:"updated_at"`
}

// decodeUser reads one entry. reason is "" for a user that can be mirrored, and otherwise says in our own words
// what is wrong; the user's ID is then still set if it could be read.
func decodeUser(raw json.RawMessage) (user User, reason string) {
	if len(raw) == 0 || raw[0] != '{' {
		return User{}, "entry: not an object"
	}
	var wire wireUser
	err := json.Unmarshal(raw, &wire) // reads on after a field of the wrong type, so that the id is there
	id, reason := decodeID(wire.ID)
	if reason != "" {
		return User{}, reason
	}
	user.ID = id
	if err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return user, wrong.Field + ": not a text"
		}
		return user, "entry: cannot be read"
	}
	if reason := wire.unstorable(); reason != "" {
		return user, reason
	}
	if wire.UpdatedAt == nil || *wire.UpdatedAt == "" {
		return user, "updated_at: missing"
	}
	updated, ok := parseTime(*wire.UpdatedAt)
	if !ok {
		return user, "updated_at: not a time"
	}
	var created time.Time
	if wire.CreatedAt != nil && *wire.CreatedAt != "" {
		if created, ok = parseTime(*wire.CreatedAt); !ok {
			return user, "created_at: not a time"
		}
	}
	return User{
		ID: id, FirstName: wire.FirstName, LastName: wire.LastName, FullName: wire.FullName,
		Email: wire.Email, Address: wire.Address, Phone: wire.Phone, Birthday: wire.Birthday, Gender: wire.Gender,
		UserStatus: wire.UserStatus, MembershipStatus: wire.MembershipStatus, MembershipRole: wire.MembershipRole,
		CreatedAt: created, UpdatedAt: updated,
	}, ""
}

// decodeID reads an id that is a text or a whole number of any size. The number's digits are taken as they
// stand: through a float, large ids would become other people's.
func decodeID(raw json.RawMessage) (id, reason string) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", "id: missing"
	case raw[0] == '"':
		if json.Unmarshal(raw, &id) != nil {
			return "", "id: cannot be read"
		}
	case strings.Trim(strings.TrimPrefix(string(raw), "-"), "0123456789") == "":
		id = string(raw)
	default:
		return "", "id: neither a text nor a whole number"
	}
	switch {
	case strings.TrimSpace(id) == "":
		return "", "id: empty"
	case len(id) > maxIDBytes:
		return "", "id: longer than 128 bytes"
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return "", "id: holds a control or broken character"
	}
	return id, ""
}

// unstorable names a field whose text no Postgres column could hold, or none should. Found here it costs one
// letter; found by the page's transaction it would cost the page, again and again.
func (w *wireUser) unstorable() string {
	for _, field := range []struct {
		name string
		text *string
	}{
		{"first_name", w.FirstName}, {"last_name", w.LastName}, {"full_name", w.FullName}, {"email", w.Email},
		{"address", w.Address}, {"phone", w.Phone}, {"birthday", w.Birthday}, {"gender", w.Gender},
		{"user_status", w.UserStatus}, {"membership_status", w.MembershipStatus}, {"membership_role", w.MembershipRole},
	} {
		switch {
		case field.text == nil:
		case strings.IndexByte(*field.text, 0) >= 0:
			return field.name + ": holds a NUL character"
		case field.name == "email" && len(*field.text) > maxEmailBytes:
			return "email: longer than 1024 bytes"
		case len(*field.text) > maxTextBytes:
			return field.name + ": longer than 64 KiB"
		}
	}
	return ""
}

// parseTime reads VOMO's times, with or without fractions of a second, which are cut off: updated_at has whole
// seconds, and two readings of one time must be equal. A time without a zone is UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", time.DateTime} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at = at.UTC().Truncate(time.Second)
		return at, !at.IsZero() && at.Year() >= 1 && at.Year() <= 9999
	}
	return time.Time{}, false
}

// entryKey tells entries apart when two pages are compared: the id, or a hash where there is none.
func entryKey(id string, raw json.RawMessage) string {
	if id != "" {
		return id
	}
	sum := sha256.Sum256(raw)
	return "\x00" + string(sum[:])
}
