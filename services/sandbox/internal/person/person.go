// Package person invents the people of a sandbox organisation.
//
// It promises that the same seed and index always give the same person, on every run, without keeping
// anything in memory, and that every address it makes up ends in a domain reserved for examples. It does not
// know organisations, edits or HTTP. None of the people exist.
package person

import (
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
}

// FullName is the name as VOMO shows it.
func (p Person) FullName() string { return strings.TrimSpace(p.FirstName + " " + p.LastName) }

// Generator makes people from a seed. Its zero value is the generator of seed 0.
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

// IDInEmail reads the id that every invented address carries before its @. It reports false for an address
// that was not invented here; one that only looks so yields an id whose person has another address.
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

// The years that people joined in. They are fixed, not counted back from now, because a restart must give
// the same people.
var (
	firstJoined   = time.Date(2019, 1, 7, 9, 0, 0, 0, time.UTC).Unix()
	lastJoined    = time.Date(2026, 6, 30, 18, 0, 0, 0, time.UTC).Unix()
	firstBirthday = time.Date(1946, 1, 1, 0, 0, 0, 0, time.UTC)
)

const (
	importSize = 40 // people who share one created second when their group came in as an import
	bulkEdits  = 16 // instants at which an admin edited many people at once
)

// Times returns when the person at an index was created and last updated. Created never falls as the index
// rises, whatever the size of the organisation; many people share a second.
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
	// An organisation grows by shares of what it is: a logarithm keeps a small one spread over years and
	// still leaves room for a million.
	grown := min(math.Log2(float64(1+joined))/20, 1)
	at := firstJoined + int64(grown*float64(span))

	changed := at
	switch roll := d.below(100); {
	case roll < 30: // never changed since
	case roll < 50: // in one of the bulk edits that came after
		next := (at-firstJoined)*bulkEdits/span + 1
		if next < bulkEdits { // none at the very end: everybody would then meet the whole of it at every poll
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

// mixedCase raises the first letter of each part, as people do who type their name.
func mixedCase(local string) string {
	out := []byte(local)
	for i := range out {
		if (i == 0 || out[i-1] == '.' || out[i-1] == '_') && out[i] >= 'a' && out[i] <= 'z' {
			out[i] -= 'a' - 'A'
		}
	}
	return string(out)
}

// phone keeps to the numbers reserved for fiction.
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
