package window

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // images built from scratch have no zone database

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const minutesPerDay = 24 * 60

// Hours are valid quiet hours. The zero value means no quiet hours. Equal values mean the same hours.
type Hours struct {
	from, to int  // minutes of the day; if from is after to, the hours cross midnight
	days     days // on which quiet hours begin
	zone     string
	location *time.Location
}

// days is a set of weekdays, Sunday the lowest bit.
type days uint8

const everyDay days = 1<<7 - 1

func (d days) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// None reports whether there are no quiet hours.
func (h Hours) None() bool { return h.location == nil }

// Location returns the time zone of the hours, UTC if there are no hours.
func (h Hours) Location() *time.Location {
	if h.None() {
		return time.UTC
	}
	return h.location
}

// Equal reports whether both mean the same hours.
func (h Hours) Equal(other Hours) bool {
	return h.from == other.from && h.to == other.to && h.days == other.days && h.zone == other.zone
}

// errUnreadable means that this program cannot apply the stored hours: an older image may not know a zone.
var errUnreadable = errors.New("the stored quiet hours cannot be kept by this version")

// Read parses hours that Encode wrote. Empty input means no hours.
func Read(stored []byte) (Hours, error) {
	if len(stored) == 0 {
		return Hours{}, nil
	}
	asked := &rollcallv1.QuietHours{}
	errs := rollcallv1.Decode(stored, asked)
	if len(errs) > 0 {
		return Hours{}, fmt.Errorf("%w: %w", errUnreadable, errs)
	}
	hours, errs := Parse(asked)
	if len(errs) > 0 {
		return Hours{}, fmt.Errorf("%w: %w", errUnreadable, errs)
	}
	return hours, nil
}

// Encode returns the hours in the form of a request, nil if there are none. Equal hours give equal bytes, for jsonb
// and for its readers.
func (h Hours) Encode() ([]byte, error) {
	if h.None() {
		return nil, nil
	}
	written := struct {
		From     string   `json:"from"`
		To       string   `json:"to"`
		Zone     string   `json:"zone"`
		Weekdays []string `json:"weekdays,omitempty"`
	}{From: clock(h.from), To: clock(h.to), Zone: h.zone}
	for day := time.Sunday; h.days != everyDay && day <= time.Saturday; day++ {
		if h.days.has(day) {
			written.Weekdays = append(written.Weekdays, dayNames()[day])
		}
	}
	encoded, err := json.Marshal(written)
	if err != nil {
		return nil, fmt.Errorf("encode quiet hours: %w", err)
	}
	return encoded, nil
}

// Check adds to errs what is wrong with the hours of a request.
func Check(errs rollcallv1.FieldErrors, asked *rollcallv1.QuietHours) {
	_, problems := Parse(asked)
	for field, texts := range problems {
		errs[field] = append(errs[field], texts...)
	}
}

// Parse reads the hours of a request and returns what is wrong with them, field by field. nil means no hours.
func Parse(asked *rollcallv1.QuietHours) (Hours, rollcallv1.FieldErrors) {
	errs := rollcallv1.FieldErrors{}
	if asked == nil {
		return Hours{}, errs
	}
	hours := Hours{zone: asked.GetZone()}
	hours.from = minuteOf(errs, "quietHours.from", asked.GetFrom(), false)
	hours.to = minuteOf(errs, "quietHours.to", asked.GetTo(), true)
	hours.days = daysOf(errs, asked.GetWeekdays())
	hours.location = locationOf(errs, asked.GetZone())
	switch {
	case len(errs) > 0:
		return Hours{}, errs
	case hours.from == hours.to:
		errs.Add("quietHours.to", "is the same as from: leave quietHours out where there are none")
	case hours.from == 0 && hours.to == minutesPerDay && hours.days == everyDay:
		errs.Add("quietHours.to", "leaves no hour of the week for the backfill")
	}
	if len(errs) > 0 {
		return Hours{}, errs
	}
	return hours, errs
}

var clockTime = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)

func minuteOf(errs rollcallv1.FieldErrors, field, text string, isEnd bool) int {
	switch {
	case text == "":
		errs.Add(field, "is missing: a time of day such as 08:00")
		return 0
	case isEnd && text == "24:00":
		return minutesPerDay
	case !clockTime.MatchString(text):
		errs.Add(field, "is not a time of day such as 08:00 or 18:30")
		return 0
	}
	hour, _ := strconv.Atoi(text[:2]) // the pattern allows digits only
	minute, _ := strconv.Atoi(text[3:])
	return 60*hour + minute
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func daysOf(errs rollcallv1.FieldErrors, names []string) days {
	if len(names) == 0 {
		return everyDay
	}
	var set days
	for _, name := range names {
		day := slices.Index(dayNames(), name)
		if day < 0 {
			errs.Add("quietHours.weekdays", "has a day other than mon, tue, wed, thu, fri, sat and sun")
			return set
		}
		set |= 1 << day
	}
	return set
}

// locationOf accepts the zones of the IANA database by their names. Other names that the machine's zone files hold
// ("Local", "right/…" with leap seconds, "posixrules") mean something else on the next machine.
func locationOf(errs rollcallv1.FieldErrors, zone string) *time.Location {
	if zone == "" {
		errs.Add("quietHours.zone", `is missing: an IANA zone such as "America/Chicago"`)
		return nil
	}
	const unknown = `is not a zone that is known: an IANA zone such as "America/Chicago", or "UTC"`
	if zone == "Local" || strings.HasPrefix(zone, "posix") || strings.HasPrefix(zone, "right/") {
		errs.Add("quietHours.zone", unknown)
		return nil
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		errs.Add("quietHours.zone", unknown)
		return nil
	}
	return location
}
