package window

import "time"

// Reasons to wait. Runs are parked with the same reasons.
const (
	ReasonNotBefore  = "not_before"
	ReasonQuietHours = "quiet_hours"
)

// IsReason reports whether reason means that a run is parked for time alone, which is not a failure.
func IsReason(reason string) bool { return reason == ReasonNotBefore || reason == ReasonQuietHours }

// Window is when a customer's backfill may run. The zero value means always.
type Window struct {
	NotBefore time.Time // zero: any time
	Quiet     Hours
}

// Of returns a customer's window from its stored form.
func Of(notBefore *time.Time, quietHours []byte) (Window, error) {
	quiet, err := Read(quietHours)
	window := Window{Quiet: quiet}
	if notBefore != nil {
		window.NotBefore = *notBefore
	}
	return window, err
}

// Always reports whether the backfill may run at any time, now and later.
func (w Window) Always() bool { return w.NotBefore.IsZero() && w.Quiet.None() }

// Wait is the reason for a wait and its end. The zero value means no wait.
type Wait struct {
	Reason string
	Until  time.Time
}

// Needed reports whether there is anything to wait for.
func (w Wait) Needed() bool { return w.Reason != "" }

// WaitAt returns the wait that a backfill needs at now. If NotBefore falls into quiet hours, the wait lasts until
// they end.
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

// QuietAfter returns when the next quiet hours begin. now must be outside quiet hours. known is false if no quiet
// hours follow.
func (w Window) QuietAfter(now time.Time) (begin time.Time, known bool) {
	if w.Quiet.None() {
		return time.Time{}, false
	}
	return w.Quiet.changeAfter(now)
}

// longestForecast limits how many quiet periods Finish goes through: several years of days.
const longestForecast = 2000

// Finish returns when work that starts at start is done, if no work happens in quiet hours.
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
