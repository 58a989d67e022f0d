package vomo

import (
	"crypto/sha256"
	"strings"
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

// wireUser is an entry, not read yet.
type wireUser struct {
	id, createdAt, updatedAt []byte
	texts                    [textFields][]byte
}

// The fields that are read as texts, in the order of textNames. What no destination gets is not read: whatever it
// becomes, its users are mirrored.
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

// decodeUser reads one entry, which is valid JSON. reason is "" for a user that can be mirrored, and otherwise says in our
// own words what is wrong; the user's ID is then still set if it could be read.
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

// readText reads a field that a destination gets as a text. A number or a boolean is its own text: VOMO's documents call
// these fields texts, and PHP makes numbers of what looks like one. What Postgres cannot hold, or should not, is refused
// here, where it costs one letter; in the page's transaction it would cost the page, again and again.
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

// decodeID reads an id that is a text or a whole number of any size. The number's digits are taken as they
// stand: through a float, large ids would become other people's.
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

// entryKey tells entries apart when two pages are compared: the id, or a hash where there is none.
func entryKey(id string, raw []byte) string {
	if id != "" {
		return id
	}
	sum := sha256.Sum256(raw)
	return "\x00" + string(sum[:])
}
