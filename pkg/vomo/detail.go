package vomo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"rollcall.dev/pkg/fault"
)

// Detail is VOMO's answer about one user: User, or Bad if the entry cannot be mirrored.
type Detail struct {
	User *User
	Bad  *BadUser
	Date time.Time // as in Page

	// Birthday and Gender are no fields of a list's entry that are read. They are nil if VOMO has none, or none as text.
	Birthday, Gender *string
}

// Page returns the answer as a page of one entry.
func (d Detail) Page() Page {
	page := Page{Number: 1, Total: -1, Date: d.Date}
	if d.User != nil {
		page.Users = []User{*d.User}
	}
	if d.Bad != nil {
		page.Bad = []BadUser{*d.Bad}
	}
	return page
}

// Detail reads one user by id, with retries as described in the package comment. ErrNotFound means that VOMO has no
// such user, or hides it from this token. ErrPartialDetail means that the answer lacks a field that lists have. VOMO
// does not document that both agree, and an incomplete user must not be mirrored as a complete one: read the user
// from the list with Find.
func (c *Client) Detail(ctx context.Context, id string) (Detail, error) {
	if err := checkID(id); err != nil {
		return Detail{}, err
	}
	a, err := c.fetch(ctx, ask{id: id, attempts: c.attempts, awaitSend: c.awaitSend})
	if err != nil {
		return Detail{}, fmt.Errorf("read a user: %w", err)
	}
	return detailOf(a), nil
}

func detailOf(a answer) Detail {
	detail := Detail{Date: a.page.Date, Birthday: a.birthday, Gender: a.gender}
	if len(a.page.Users) > 0 {
		detail.User = &a.page.Users[0]
	}
	if len(a.page.Bad) > 0 {
		detail.Bad = &a.page.Bad[0]
	}
	return detail
}

// checkID rejects text that is not an id, so that it cannot lead to another address.
func checkID(id string) error {
	quoted, err := json.Marshal(id)
	if err != nil {
		return fault.Permanent("vomo_id_invalid", fmt.Errorf("encode id: %w", err))
	}
	if read, reason := decodeID(quoted); reason != "" || read != id || id == "." || id == ".." {
		return fault.Permanent("vomo_id_invalid", fmt.Errorf("that is no VOMO id: 1 to %d characters, none of them a control character", maxIDBytes))
	}
	return nil
}

// at returns the URL of one user.
func (c *Client) at(id string) *url.URL { return c.users.JoinPath(url.PathEscape(id)) }

// wholeUser returns the fields that an entry must have to be compared with a list's entry.
func wholeUser() []string {
	return []string{"id", "first_name", "last_name", "email", "phone", "user_status", "membership_role", "created_at", "updated_at"}
}

// decodeDetail decodes an answer about one user: the user itself, or a wrapper around it, which may also have a code
// and a message. id is the user who was asked for, "" if any will do.
func decodeDetail(body []byte, id string) (answer, error) {
	body, ok := document(body)
	if !ok || !isObject(body) {
		return answer{}, brokenDetail("it is no JSON object with a user")
	}
	user := body
	if wrapped := member(body, "data"); wrapped != nil {
		user = wrapped
	}
	if !isObject(user) {
		return answer{}, brokenDetail("it is no JSON object with a user")
	}
	there := map[string]bool{}
	var birthday, gender *string
	for name, value := range members(user) {
		there[string(name)] = true
		switch string(name) { // nothing else depends on them, so an odd value is none
		case "birthday":
			birthday, _ = readText("birthday", value)
		case "gender":
			gender, _ = readText("gender", value)
		}
	}
	for _, field := range wholeUser() {
		if !there[field] {
			return answer{}, fault.Unknown("vomo_partial_detail", &brokenUser{what: "it has no " + field, is: ErrPartialDetail})
		}
	}
	read, reason := decodeUser(user)
	if id != "" && read.ID != id {
		return answer{}, brokenDetail("it is another user's, or names none")
	}
	if reason != "" {
		return answer{page: Page{Bad: []BadUser{{ID: read.ID, Reason: reason}}}}, nil
	}
	return answer{page: Page{Users: []User{read}}, birthday: birthday, gender: gender}, nil
}

func brokenDetail(what string) error {
	return fault.Unknown("vomo_broken_detail", &brokenUser{what: what, is: ErrBrokenDetail})
}

type brokenUser struct {
	what string
	is   error
}

func (b *brokenUser) Error() string { return b.is.Error() + ": " + b.what }
func (b *brokenUser) Unwrap() error { return b.is }

// Find reads users from the list whose detail VOMO does not show completely. query limits the list. After each page,
// enough is called with the number of pages and decides whether to stop. found has the users that were found, by id;
// whole is true if the list was read to its end. Its errors are those of Page.
func (c *Client) Find(ctx context.Context, query Query, ids []string, enough func(pages int) bool) (found map[string]Detail, whole bool, err error) {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	found = map[string]Detail{}
	pages := 0
	for page, err := range c.Scan(ctx, query, ScanOptions{Ahead: 1}).Pages() {
		if err != nil {
			return found, false, err
		}
		for _, user := range page.Users {
			if wanted[user.ID] {
				found[user.ID] = Detail{User: &user, Date: page.Date}
			}
		}
		for _, bad := range page.Bad {
			if _, met := found[bad.ID]; wanted[bad.ID] && !met {
				found[bad.ID] = Detail{Bad: &bad, Date: page.Date}
			}
		}
		if pages++; len(found) == len(wanted) || page.More && enough(pages) {
			return found, !page.More, nil
		}
	}
	return found, true, nil
}
