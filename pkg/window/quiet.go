package window

import "time"

// quietAt reports whether moment is within quiet hours, by the local time in the customer's zone.
func (h Hours) quietAt(moment time.Time) bool {
	if h.None() {
		return false
	}
	local := moment.In(h.location)
	minute, today := 60*local.Hour()+local.Minute(), local.Weekday()
	if h.from < h.to {
		return minute >= h.from && minute < h.to && h.days.has(today)
	}
	yesterday := (today + 6) % 7
	return (minute >= h.from && h.days.has(today)) || (minute < h.to && h.days.has(yesterday))
}

// maxSteps is more than the changes of one week: two a day, the midnights, and the zone's own changes.
const maxSteps = 64

// changeAfter returns the next moment at which quiet hours begin or end. known is false if none is found within a
// week.
func (h Hours) changeAfter(moment time.Time) (change time.Time, known bool) {
	quiet := h.quietAt(moment)
	at := moment
	for range maxSteps {
		at = h.nextStep(at)
		if h.quietAt(at) != quiet {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// nextStep returns the next moment at which quiet can change: local time reaches from, to or midnight, or daylight
// saving moves the clock. Between two changes of the zone, local time runs evenly.
func (h Hours) nextStep(after time.Time) time.Time {
	local := after.In(h.location)
	midnight := local.Add(-time.Duration(local.Hour())*time.Hour - time.Duration(local.Minute())*time.Minute -
		time.Duration(local.Second())*time.Second - time.Duration(local.Nanosecond()))
	var next time.Time
	for _, minute := range []int{h.from, h.to, minutesPerDay, minutesPerDay + h.from, minutesPerDay + h.to} {
		step := midnight.Add(time.Duration(minute) * time.Minute)
		if step.After(after) && (next.IsZero() || step.Before(next)) {
			next = step
		}
	}
	if _, zoneChange := local.ZoneBounds(); !zoneChange.IsZero() && zoneChange.Before(next) {
		return zoneChange
	}
	return next
}
