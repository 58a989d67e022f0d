package vomo

import (
	"crypto/sha256"
	"strings"
	"time"
	"unicode"
)

// User is one entry of VOMO's GET /users, with the fields that a destination gets. A text that may be missing or null
// is a pointer: null is a value to mirror, not an error.
type User struct {
	ID             string // number or text in JSON; always text here
	FirstName      *string
	LastName       *string
	Email          *string // unchanged from VOMO: case and spaces are kept
	Phone          *string
	UserStatus     *string
	MembershipRole *string
	CreatedAt      time.Time // zero if VOMO sent none
	UpdatedAt      time.Time // whole seconds, never zero
	Undated        bool      // VOMO sent no UpdatedAt: it is CreatedAt, or OldestTime
}

// BadUser is an entry of a page that cannot be mirrored: it gets its own dead letter and does not fail the page.
// Reason names the field and what is wrong with it, never the field's value.
type BadUser struct {
	ID     string // "" if even the id could not be read
	Reason string
	// Key identifies the entry: its id, or a hash if it has none. It must not be shown to people.
	Key string
}

// Page is one decoded answer of GET /users.
type Page struct {
	Number int       // as requested, counted from 1
	Users  []User    // in VOMO's order; an id may occur twice
	Bad    []BadUser // entries that could not be decoded
	Total  int       // meta.total; -1 if VOMO sent none
	More   bool      // whether VOMO has a page after this one
	Date   time.Time // VOMO's clock: the answer's Date header; zero if there is none
}

const (
	// maxIDBytes is far above every known id; it keeps ids usable as keys and in message headers.
	maxIDBytes = 128
	// maxEmailBytes keeps emails usable in an index of Postgres, whose entries end at 2,704 bytes: a longer email
	// would fail its page's transaction again and again. The longest valid address has 320 bytes.
	maxEmailBytes = 1024
	maxTextBytes  = 64 << 10
)

// wireUser is an entry whose fields are not decoded yet.
type wireUser struct {
	id, createdAt, updatedAt []byte
	texts                    [textFields][]byte
}

// textNames returns the fields that are read as text, in order. Fields that no destination gets are not read, so
// their type does not matter.
const (
	firstName = iota
	lastName
	email
	phone
	userStatus
	membershipRole
	textFields
)

func textNames() [textFields]string {
	return [textFields]string{"first_name", "last_name", "email", "phone", "user_status", "membership_role"}
}

func wireUserOf(object []byte) (wire wireUser) {
	for name, value := range members(object) {
		switch string(name) {
		case "id":
			wire.id = value
		case "created_at":
			wire.createdAt = value
		case "updated_at":
			wire.updatedAt = value
		case "first_name":
			wire.texts[firstName] = value
		case "last_name":
			wire.texts[lastName] = value
		case "email":
			wire.texts[email] = value
		case "phone":
			wire.texts[phone] = value
		case "user_status":
			wire.texts[userStatus] = value
		case "membership_role":
			wire.texts[membershipRole] = value
		}
	}
	return wire
}

// decodeUser decodes one entry, which is valid JSON. reason is "" for a user that can be mirrored; otherwise it says
// in our own words what is wrong, and the user's ID is set if it could be read.
func decodeUser(raw []byte) (user User, reason string) {
	if !isObject(raw) {
		return User{}, "entry: not an object"
	}
	wire := wireUserOf(raw)
	id, reason := decodeID(wire.id)
	if reason != "" {
		return User{}, reason
	}
	bad := User{ID: id}
	var texts [textFields]*string
	for i, name := range textNames() {
		if texts[i], reason = readText(name, wire.texts[i]); reason != "" {
			return bad, reason
		}
	}
	created, ok := readTime(wire.createdAt)
	if !ok {
		return bad, "created_at: not a time"
	}
	updated, ok := readTime(wire.updatedAt)
	if !ok {
		return bad, "updated_at: not a time"
	}
	user = User{
		ID: id, FirstName: texts[firstName], LastName: texts[lastName], Email: texts[email], Phone: texts[phone],
		UserStatus: texts[userStatus], MembershipRole: texts[membershipRole], CreatedAt: created, UpdatedAt: updated,
	}
	if user.UpdatedAt.IsZero() {
		user.UpdatedAt, user.Undated = created, true
	}
	if user.UpdatedAt.IsZero() {
		user.UpdatedAt = OldestTime()
	}
	return user, ""
}

// readText reads a field that destinations get as text. A number or a boolean is accepted as its text: VOMO documents
// these fields as text, but PHP turns texts that look like numbers into numbers. Text that Postgres cannot or should
// not store is rejected here, where it costs one letter; in the page's transaction it would fail the page again and
// again.
func readText(name string, value []byte) (text *string, reason string) {
	var read string
	switch {
	case isNone(value):
		return nil, ""
	case isText(value):
		read = textOf(value)
	case isScalar(value):
		read = string(value)
	default:
		return nil, name + ": not a text"
	}
	switch {
	case strings.IndexByte(read, 0) >= 0:
		return nil, name + ": holds a NUL character"
	case name == "email" && len(read) > maxEmailBytes:
		return nil, "email: longer than 1024 bytes"
	case len(read) > maxTextBytes:
		return nil, name + ": longer than 64 KiB"
	}
	return &read, ""
}

// decodeID reads an id that is a text or a whole number of any size. It keeps the number's digits as written:
// converted to a float, large ids would become those of other users.
func decodeID(raw []byte) (id, reason string) {
	switch {
	case isNone(raw):
		return "", "id: missing"
	case isText(raw):
		id = textOf(raw)
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

// entryKey returns what identifies an entry when pages are compared: its id, or a hash if it has none.
func entryKey(id string, raw []byte) string {
	if id != "" {
		return id
	}
	sum := sha256.Sum256(raw)
	return "\x00" + string(sum[:])
}
