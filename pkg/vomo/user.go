package vomo

import "time"

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
