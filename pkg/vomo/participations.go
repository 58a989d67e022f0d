package vomo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Participation is one entry of a user's participations. VOMO documents its fields, but not their form, so any form that a
// value may have is accepted, and a value that cannot be read counts as missing.
type Participation struct {
	// Key is VOMO's id of the entry; "project_date-" and an id if there is only that of the project date; otherwise "".
	Key     string
	Hours   float64   // 0 if VOMO sent none
	At      time.Time // when the user checked in, or else checked out, or else signed up; zero if VOMO sent none of them
	Content []byte    // the entry as JSON, with the names of each object in order
}

// UserParticipations is what VOMO answers about one user besides the fields of lists.
type UserParticipations struct {
	Entries []Participation // in VOMO's order; a key may occur twice
	Known   bool            // false: VOMO sent no list of participations, which says nothing about them
	Fields  []byte          // profile_field_values as JSON, with the names of each object in order; nil if VOMO sent none
	User    *User           // nil if the answer is not a whole user
	Date    time.Time       // as in Page
}

// Participations reads the participations and profile fields of one user. Unlike Detail, it accepts an answer that has only
// these: VOMO's specification lists no others. Other errors are those of Detail.
func (c *Client) Participations(ctx context.Context, id string) (UserParticipations, error) {
	if err := checkID(id); err != nil {
		return UserParticipations{}, err
	}
	a, err := c.fetch(ctx, ask{id: id, participations: true, attempts: c.attempts, awaitSend: c.awaitSend})
	if err != nil {
		return UserParticipations{}, fmt.Errorf("read a user's participations: %w", err)
	}
	read := *a.participations
	read.Date = a.page.Date
	return read, nil
}

// decodeParticipations decodes an answer about one user, in any of the forms that decodeDetail accepts.
func decodeParticipations(body []byte, id string) (answer, error) {
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
	if named := member(user, "id"); !isNone(named) {
		if read, _ := decodeID(named); read != id {
			return answer{}, brokenDetail("it is another user's, or names none")
		}
	}
	read := UserParticipations{}
	entries, known, ok := listOf(member(user, "participations"))
	if !ok {
		return answer{}, brokenDetail("its participations are no list")
	}
	if len(entries) > maxEntries {
		return answer{}, brokenDetail("it has more than 5000 participations")
	}
	read.Known = known
	for _, entry := range entries {
		read.Entries = append(read.Entries, decodeParticipation(entry))
	}
	if fields := member(user, "profile_field_values"); !isNone(fields) {
		read.Fields = canonical(fields)
	}
	if whole, err := decodeDetail(body, id); err == nil && len(whole.page.Users) == 1 {
		read.User = &whole.page.Users[0]
	}
	return answer{participations: &read}, nil
}

// listOf returns the values of a list, which may be wrapped in an object with data, or have lost its order in PHP. known is
// false for a missing list; ok is false for a value that is no list.
func listOf(value []byte) (entries [][]byte, known, ok bool) {
	if isObject(value) {
		if wrapped := member(value, "data"); wrapped != nil {
			value = wrapped
		}
	}
	if isNone(value) {
		return nil, false, true
	}
	entries, ok = entriesOf(value)
	return entries, ok, ok
}

// decodeParticipation reads an entry. An entry that is only an id has no other fields.
func decodeParticipation(raw []byte) Participation {
	one := Participation{Content: canonical(raw)}
	if !isObject(raw) {
		if id, reason := decodeID(raw); reason == "" {
			one.Key = id
		}
		return one
	}
	one.Key = keyOf(raw)
	one.Hours = hoursOf(member(raw, "hours"))
	for _, name := range []string{"checked_in_at", "checked_out_at", "signed_up_at"} {
		if at, ok := readTime(member(raw, name)); ok && !at.IsZero() {
			one.At = at
			break
		}
	}
	return one
}

// keyOf returns the id of an entry, or that of its project date; "" if it has neither.
func keyOf(entry []byte) string {
	if id, reason := decodeID(member(entry, "id")); reason == "" {
		return id
	}
	dates := [][]byte{member(entry, "project_date_id")}
	for _, name := range []string{"project_date", "projectDate"} {
		if date := member(entry, name); isObject(date) {
			dates = append(dates, member(date, "id"))
		} else {
			dates = append(dates, date)
		}
	}
	for _, date := range dates {
		if id, reason := decodeID(date); reason == "" {
			return "project_date-" + id
		}
	}
	return ""
}

// maxHours is more than any participation has; a larger number is a mistake, and would make the sum useless.
const maxHours = 100_000

// hoursOf reads a number, or a text with one.
func hoursOf(value []byte) float64 {
	text := string(value)
	if isText(value) {
		text = strings.TrimSpace(textOf(value))
	}
	hours, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(hours) || math.Abs(hours) > maxHours {
		return 0
	}
	return hours
}

// canonical returns valid JSON without spaces, with the names of each object in order: two answers with the same values are equal.
func canonical(value []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber() // large numbers keep their digits
	var decoded any
	if err := decoder.Decode(&decoded); err != nil {
		return value // nested too deeply for the decoder
	}
	encoded, err := json.Marshal(decoded)
	if err != nil {
		return value
	}
	return encoded
}
