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
	_ "time/tzdata" // images from scratch have no zones of their own

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const minutesPerDay = 24 * 60

// Hours are quiet hours that can be kept. The zero value is none; two that are equal mean the same.
type Hours struct {
	from, to int  // minutes of the day; from after to goes over midnight
	days     days // on which a window begins
	zone     string
	location *time.Location
}

// days is a set of weekdays, Sunday the lowest bit.
type days uint8

const everyDay days = 1<<7 - 1

func (d days) has(day time.Weekday) bool { return d&(1<<day) != 0 }

// None says that there are no quiet hours.
func (h Hours) None() bool { return h.location == nil }

// Location is where the clock hangs that the hours are read from; UTC where there are none.
func (h Hours) Location() *time.Location {
	if h.None() {
		return time.UTC
	}
	return h.location
}

// Equal says whether both mean the same hours.
func (h Hours) Equal(other Hours) bool {
	return h.from == other.from && h.to == other.to && h.days == other.days && h.zone == other.zone
}

// errUnreadable is for stored hours that this program cannot keep: an older image may not know a zone.
var errUnreadable = errors.New("the stored quiet hours cannot be kept by this version")

// Read reads hours as Encode wrote them; nothing is no hours.
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

// Encode writes hours the way a request has them; nil for none. jsonb and its readers get the same for the same.
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

// Parse reads the hours of a request and tells what is wrong with them, field by field; nil is no hours.
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
	hour, _ := strconv.Atoi(text[:2]) // digits, by the pattern
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
			errs.Add("quietHours.weekdays", "has a day that is none of mon, tue, wed, thu, fri, sat and sun")
			return set
		}
		set |= 1 << day
	}
	return set
}

// locationOf knows the zones of the IANA database by their names in it. What else the machine's files hold
// ("Local", "right/…" with leap seconds, "posixrules") means another thing on the next machine.
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
