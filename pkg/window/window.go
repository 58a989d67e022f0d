package window

import "time"

// What a backfill waits for; the same words as reasons to park.
const (
	ReasonNotBefore  = "not_before"
	ReasonQuietHours = "quiet_hours"
)

// IsReason says whether a run is parked for time alone, which is nobody's failure.
func IsReason(reason string) bool { return reason == ReasonNotBefore || reason == ReasonQuietHours }

// Window is when a customer's backfill may run. The zero value is always.
type Window struct {
	NotBefore time.Time // zero: any time
	Quiet     Hours
}

// Of is a customer's window as it is stored.
func Of(notBefore *time.Time, quietHours []byte) (Window, error) {
	quiet, err := Read(quietHours)
	window := Window{Quiet: quiet}
	if notBefore != nil {
		window.NotBefore = *notBefore
	}
	return window, err
}

// Always says that no time is closed to the backfill, now or later.
func (w Window) Always() bool { return w.NotBefore.IsZero() && w.Quiet.None() }

// Wait is what a backfill waits for, and until when. The zero value is no wait.
type Wait struct {
	Reason string
	Until  time.Time
}

// Needed says whether there is anything to wait for.
func (w Wait) Needed() bool { return w.Reason != "" }

// WaitAt is what a backfill has to wait for at now. One that waits for its first day waits also for the quiet
// hours in which that begins.
func (w Window) WaitAt(now time.Time) Wait {
	wait, start := Wait{}, now
	if w.NotBefore.After(now) {
		wait, start = Wait{Reason: ReasonNotBefore, Until: w.NotBefore}, w.NotBefore
	}
	if !w.Quiet.quietAt(start) {
		return wait
	}
	end, known := w.Quiet.changeAfter(start)
	if !known {
		return wait
	}
	if wait.Reason == "" {
		wait.Reason = ReasonQuietHours
	}
	wait.Until = end
	return wait
}

// QuietAfter is when the next quiet hours begin, asked outside of them; known is false where none do.
func (w Window) QuietAfter(now time.Time) (begin time.Time, known bool) {
	if w.Quiet.None() {
		return time.Time{}, false
	}
	return w.Quiet.changeAfter(now)
}

// longestForecast bounds how many quiet hours an estimate walks through: some years of days.
const longestForecast = 2000

// Finish is when that much work is done, begun at start, quiet hours left out.
func (w Window) Finish(start time.Time, work time.Duration) time.Time {
	at := start
	for range longestForecast {
		if wait := w.WaitAt(at); wait.Needed() {
			at = wait.Until
		}
		quiet, known := w.QuietAfter(at)
		if !known || quiet.Sub(at) >= work {
			break
		}
		work -= quiet.Sub(at)
		at = quiet
	}
	return at.Add(work)
}
