package vomo

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// FirstID is the id of the person at index 0; ids rise by one with the index.
const FirstID int64 = 1001

// Person is one user as VOMO has it. A nil pointer is a null on the wire.
type Person struct {
	ID               int64     `json:"id"`
	FirstName        string    `json:"firstName"`
	LastName         string    `json:"lastName"`
	Email            *string   `json:"email"`
	Address          *string   `json:"address"`
	Phone            *string   `json:"phone"`
	Birthday         *string   `json:"birthday"` // YYYY-MM-DD
	Gender           *string   `json:"gender"`   // M, F or N
	UserStatus       *string   `json:"userStatus"`
	MembershipStatus string    `json:"membershipStatus"`
	MembershipRole   string    `json:"membershipRole"`
	Created          time.Time `json:"created"` // whole seconds, UTC
	Updated          time.Time `json:"updated"` // whole seconds, UTC, never before Created

	// BelongsElsewhere marks a member of an organisation that is neither this one nor its child: an upsert changes nothing
	// but the role.
	BelongsElsewhere bool `json:"belongsElsewhere,omitempty"`

	// What only the detail shows, as JSON. An empty one is shown as an empty list.
	Participations json.RawMessage `json:"participations,omitempty"`
	ProfileFields  json.RawMessage `json:"profileFields,omitempty"`
}

// FullName returns the name as VOMO shows it.
func (p Person) FullName() string { return strings.TrimSpace(p.FirstName + " " + p.LastName) }

// Generator makes people from a seed: the same seed and index always make the same person. It keeps no people in
// memory, and each address that it invents ends in a domain reserved for examples. The zero value has seed 0.
type Generator struct {
	Seed     uint64
	Imported int64 // people up to this index were created in one second, by a large import
}

// At returns the person at an index, which must not be negative.
func (g Generator) At(index int64) Person {
	d := g.dice(saltTraits, index)
	first, last := firstNames[d.below(len(firstNames))], lastNames[d.below(len(lastNames))]
	created, updated := g.Times(index)
	p := Person{
		ID:               FirstID + index,
		FirstName:        first.shown,
		LastName:         last.shown,
		Gender:           &first.gender,
		MembershipStatus: membershipStatuses.roll(&d),
		MembershipRole:   membershipRoles.roll(&d),
		Created:          created,
		Updated:          updated,
	}
	if !d.chance(3) {
		p.Email = new(email(&d, first.plain, last.plain, p.ID))
	}
	if !d.chance(12) {
		p.Phone = new(phone(&d))
	}
	if !d.chance(10) {
		p.Address = new(strconv.Itoa(1+d.below(990)) + " " + streets[d.below(len(streets))] + ", " + cities[d.below(len(cities))])
	}
	if !d.chance(5) {
		p.Birthday = new(firstBirthday.AddDate(0, 0, d.below(60*365)).Format(time.DateOnly))
	}
	if !d.chance(1) {
		p.UserStatus = new(userStatuses.roll(&d))
	}
	return p
}

// IDInEmail reads the id that every invented address has before its @. It reports false for other addresses. An
// address that only looks invented returns an id whose person has another address.
func IDInEmail(address string) (int64, bool) {
	local, _, found := strings.Cut(address, "@")
	if !found {
		return 0, false
	}
	digits := local[len(strings.TrimRight(local, "0123456789")):]
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, err == nil
}

const (
	saltTraits uint64 = iota + 1
	saltTimes
	saltImports
)

// The years in which people joined. They are fixed and do not depend on the current time, because a restart must invent
// the same people.
var (
	firstJoined   = time.Date(2019, 1, 7, 9, 0, 0, 0, time.UTC).Unix()
	lastJoined    = time.Date(2026, 6, 30, 18, 0, 0, 0, time.UTC).Unix()
	firstBirthday = time.Date(1946, 1, 1, 0, 0, 0, 0, time.UTC)
)

const (
	importSize = 40 // people of one import; they share one created second
	bulkEdits  = 16 // times at which an admin edited many people at once
)

// Times returns when the person at an index was created and last updated. Created never decreases as the index
// increases, for any size of the organisation. Many people share a second.
func (g Generator) Times(index int64) (created, updated time.Time) {
	d := g.dice(saltTimes, index)
	joined := index
	group := g.dice(saltImports, index/importSize)
	if group.chance(25) {
		joined = index - index%importSize
	}
	if index < g.Imported {
		joined = 0
	}
	span := lastJoined - firstJoined
	// The logarithm spreads a small organisation over years and still has room for a million people.
	grown := min(math.Log2(float64(1+joined))/20, 1)
	at := firstJoined + int64(grown*float64(span))

	changed := at
	switch roll := d.below(100); {
	case roll < 30: // never changed since
	case roll < 50: // in one of the later bulk edits
		next := (at-firstJoined)*bulkEdits/span + 1
		if next < bulkEdits { // none at the very end: each poll would then read all of it again
			next += int64(d.below(int(bulkEdits - next)))
			changed = firstJoined + span*next/bulkEdits
		}
	default:
		changed = at + int64(d.below(int(lastJoined-at+1)))
	}
	return time.Unix(at, 0).UTC(), time.Unix(changed, 0).UTC()
}

func email(d *dice, first, last string, id int64) string {
	domain := domains[d.below(len(domains))]
	var local string
	switch d.below(4) {
	case 0:
		local = first[:1] + "." + last
	case 1:
		local = first + "_" + last
	default:
		local = first + "." + last
	}
	if d.chance(8) {
		local = mixedCase(local)
		if d.chance(30) {
			domain = strings.ToUpper(domain[:1]) + domain[1:]
		}
	}
	return local + strconv.FormatInt(id, 10) + "@" + domain
}

// mixedCase writes the first letter of each part in upper case, as people do who type their name.
func mixedCase(local string) string {
	out := []byte(local)
	for i := range out {
		if (i == 0 || out[i-1] == '.' || out[i-1] == '_') && out[i] >= 'a' && out[i] <= 'z' {
			out[i] -= 'a' - 'A'
		}
	}
	return string(out)
}

// phone returns one of the numbers that are reserved for fiction.
func phone(d *dice) string {
	area, line := strconv.Itoa(201+d.below(780)), "01"+strconv.Itoa(10+d.below(90))
	switch d.below(3) {
	case 0:
		return "+1" + area + "555" + line
	case 1:
		return area + "-555-" + line
	default:
		return "(" + area + ") 555-" + line
	}
}

// dice is a splitmix64 stream: small, fast and the same on every machine.
type dice struct {
	state uint64
}

func (g Generator) dice(salt uint64, index int64) dice {
	start := dice{state: g.Seed ^ salt*0xd1342543de82ef95}
	start.state = start.next() ^ uint64(index) //nolint:gosec // only mixes bits: an index is never negative
	return dice{state: start.next()}
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 up to, not including, n.
func (d *dice) below(n int) int {
	return int(d.next() >> 1 % uint64(n)) //nolint:gosec // n is positive and the result smaller than n
}

func (d *dice) chance(percent int) bool { return d.below(100) < percent }

// weighted is a list of values with their shares.
type weighted []struct {
	value   string
	percent int // of all; the last value has the rest
}

func (w weighted) roll(d *dice) string {
	at := d.below(100)
	for _, choice := range w[:len(w)-1] {
		if at < choice.percent {
			return choice.value
		}
		at -= choice.percent
	}
	return w[len(w)-1].value
}
