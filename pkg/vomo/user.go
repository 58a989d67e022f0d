package vomo

import "time"

// User is one entry of VOMO's GET /users, with the fields that a destination gets.
// Text that VOMO may leave out or null is a pointer: null is a value to mirror, not a fault.
type User struct {
	ID             string // int or string on the wire; always text here
	FirstName      *string
	LastName       *string
	Email          *string // as VOMO has it: case and spaces are kept
	Phone          *string
	UserStatus     *string
	MembershipRole *string
	CreatedAt      time.Time // zero when VOMO gave none
	UpdatedAt      time.Time // whole seconds, never zero
	Undated        bool      // VOMO gave no UpdatedAt: it is CreatedAt, or OldestTime
}

// BadUser is an entry of a page that cannot be mirrored: it becomes a dead letter of its own and never
// fails the page. Reason names the field and what is wrong with it, never the field's value.
type BadUser struct {
	ID     string // "" when not even the id could be read
	Reason string
	// Key tells the entry from others: its id, or a hash of it where there is none. It is not for anybody's eyes.
	Key string
}

// Page is one decoded answer of GET /users.
type Page struct {
	Number int       // 1-based, as asked for
	Users  []User    // in VOMO's order; an id may come twice
	Bad    []BadUser // entries that could not be decoded
	Total  int       // meta.total; -1 when VOMO gave none
	More   bool      // whether VOMO has a page after this one
	Date   time.Time // VOMO's own clock: the answer's Date header; zero where it sent none
}
