package window

import "time"

// quietAt says whether the customer's wall shows a quiet hour.
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

// maxSteps is more than a week has changes: two a day, midnights, and the zone's own.
const maxSteps = 64

// changeAfter is the first moment after the given one at which quiet becomes loud, or loud quiet; known is false
// where that is further away than anything that a week can hold.
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

// nextStep is the next moment at which anything can change: the wall shows from or to or midnight, or the clock on
// it is put forward or back. Between two changes of the zone the wall's clock runs evenly.
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
	if _, shift := local.ZoneBounds(); !shift.IsZero() && shift.Before(next) {
		return shift
	}
	return next
}
