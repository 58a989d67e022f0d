package report

import (
	"slices"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	// manyLetters is from how many open letters on a customer is not well: the recipe's number.
	manyLetters = 10
	// stalledCadences is after how many cadences without a poll one is missing.
	stalledCadences = 2
)

// Health names what is wrong and what helps. It follows the heartbeat, the end of the last successful poll, and not
// the checkpoint's age: an organisation in which nobody changes is well. IsHealthy is null until there is a heartbeat
// to judge by, that is until the first poll after the first backfill, unless something is wrong before.
type Health struct {
	DlqDepth                     int64    `json:"dlqDepth"`
	AverageReconciliationGapRate *float64 `json:"averageReconciliationGapRate"` // of 7 days; null where none was made
	IsHealthy                    *bool    `json:"isHealthy"`
	Reasons                      []Reason `json:"reasons"`
}

// Reason is one thing that is wrong, or that one should know.
type Reason struct {
	Code      string `json:"code"`
	Text      string `json:"text"`
	Remedy    string `json:"remedy"`
	Unhealthy bool   `json:"unhealthy"` // false: it is told, and nothing is wrong by it
}

// standing is what the health of a customer is judged by, in a status and in a list alike.
type standing struct {
	customer       store.Customer
	now            time.Time  // the database's
	run            *store.Run // the newest backfill
	rewriteOwed    bool
	lastPollFailed bool
	openLetters    int64
	alerts         []string // types of those that stand, oldest first
}

// reasons are told in this order: what stops everything, what stops the polls, what else stands, and what is only said.
func (s standing) reasons() []Reason {
	told := []Reason{}
	say := func(code string, unhealthy bool) {
		if !slices.ContainsFunc(told, func(reason Reason) bool { return reason.Code == code }) {
			text, remedy := event.ExplainFor(s.customer.ID, code)
			told = append(told, Reason{Code: code, Text: text, Remedy: remedy, Unhealthy: unhealthy})
		}
	}
	if code := s.switchedOff(); code != "" {
		say(code, true)
	}
	if s.customer.PausedAt != nil {
		say(event.ConditionPaused, true)
	}
	if s.stalled() {
		say(event.AlertPollStalled, true)
	}
	if s.lastPollFailed && s.customer.Steady() {
		say(event.ConditionPollFailing, true)
	}
	if s.openLetters >= manyLetters {
		say(event.ConditionDLQDepth, true)
	}
	for _, alert := range s.standingAlerts() {
		say(alert, true)
	}
	if s.run == nil {
		return told
	}
	if s.run.State == store.RunPaused {
		say("paused", s.customer.BackfillCompletedAt == nil)
	}
	if s.rewriteOwed {
		say("rewrite_unfinished", !s.rewrites())
	}
	if s.run.Verified != nil && !*s.run.Verified {
		say(event.ConditionUnverified, false)
	}
	return told
}

// standingAlerts are the types of those that stand by the facts as well. A stall is cleared when the notifier looks the
// next time, and is over with the poll that ended it.
func (s standing) standingAlerts() []string {
	return slices.DeleteFunc(slices.Clone(s.alerts), func(alert string) bool { return alert == event.AlertPollStalled && !s.stalled() })
}

// switchedOff is the condition of a customer who is, "" for one who is not.
func (s standing) switchedOff() string {
	switch {
	case s.customer.Enabled:
		return ""
	case s.customer.OffboardedAt != nil:
		return event.ConditionOffboarded
	case s.customer.DisabledReason != "":
		return s.customer.DisabledReason
	}
	return "disabled"
}

// stalled says whether no poll has come to its end for two cadences, as the alert says it.
func (s standing) stalled() bool {
	if !s.customer.Steady() {
		return false
	}
	// From when one was to be expected at the latest: never before the first backfill's end, also of whoever was resumed
	// or got a new token in the middle of it.
	var expected time.Time
	for _, since := range []*time.Time{
		s.customer.LastPolledAt, s.customer.PollPageAt, s.customer.ActiveSince, s.customer.BackfillCompletedAt,
	} {
		if since != nil && since.After(expected) {
			expected = *since
		}
	}
	return s.now.Sub(expected) > stalledCadences*time.Duration(s.customer.PollCadenceMinutes)*time.Minute
}

// rewrites says whether a run is on its way that writes everybody again.
func (s standing) rewrites() bool {
	return s.run.Rewrite != nil && s.run.State.Open() && s.run.State != store.RunPaused && s.customer.Active()
}

// healthy is nil where nothing is wrong and nothing is known yet.
func (s standing) healthy(reasons []Reason) *bool {
	well := !slices.ContainsFunc(reasons, func(reason Reason) bool { return reason.Unhealthy })
	if well && (s.customer.BackfillCompletedAt == nil || s.customer.LastPolledAt == nil) {
		return nil
	}
	return &well
}
