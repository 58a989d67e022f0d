package report

import (
	"cmp"
	"slices"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	// manyLetters is the number of open letters that makes a customer unhealthy (docs/guides.md#sync-status).
	manyLetters = 10
	// stalledCadences is after how many cadences without a poll one is missing.
	stalledCadences = 2
)

// Health names what is wrong and what helps. It follows the heartbeat, the end of the last successful poll, and not
// the checkpoint's age: an organisation in which no user changes is well. IsHealthy is null until there is a heartbeat
// to judge by, that is until the first poll after the first backfill, unless something is wrong before.
type Health struct {
	DlqDepth                     int64    `json:"dlqDepth"`
	AverageReconciliationGapRate *float64 `json:"averageReconciliationGapRate"` // of 7 days; null where none was made
	IsHealthy                    *bool    `json:"isHealthy"`
	Reasons                      []Reason `json:"reasons"`
}

// Reason is one thing that is wrong, or that one should know.
type Reason struct {
	Code      string     `json:"code"`
	Text      string     `json:"text"`
	Remedy    string     `json:"remedy"`
	Unhealthy bool       `json:"unhealthy"` // false: worth knowing, and nothing is wrong
	Since     *time.Time `json:"since"`     // null where that is not known
	Until     *time.Time `json:"until"`     // when the work that waits for it is tried again; null where no time is set
}

// standing is what the health of a customer is judged by, in a status and in a list alike. Times that only a status
// tells are nil in a list.
type standing struct {
	customer         store.Customer
	now              time.Time  // the database's
	run              *store.Run // the newest backfill
	rewriteOwed      bool
	rewriteSince     *time.Time
	lastPollFailed   bool
	lastPollAt       *time.Time
	openLetters      int64
	manyLettersSince *time.Time
	alerts           []string             // types of those that stand, oldest first
	raised           map[string]time.Time // since when they do
	parked           []store.Parked       // of scheduled runs and letters; the backfill's is in run
	shared           *store.SharedContact // two users who are one record at the destination; nil also in a list
	closingUntil     *time.Time           // when a lane that was fenced is free at the latest
}

// reasons returns them in this order: what stops everything, what stops the polls, what else stands, what work waits for,
// and what is only said.
func (s standing) reasons() []Reason {
	found := reasons{customer: s.customer.ID, listed: []Reason{}}
	if code := s.switchedOff(); code != "" {
		found.add(Reason{Code: code, Unhealthy: true, Since: cmp.Or(s.customer.OffboardedAt, s.raisedAt(code))})
	}
	if s.customer.PausedAt != nil {
		found.add(Reason{Code: event.ConditionPaused, Unhealthy: true, Since: s.customer.PausedAt})
	}
	if s.stalled() {
		expected := s.pollExpected()
		found.add(Reason{Code: event.AlertPollStalled, Unhealthy: true, Since: &expected})
	}
	if s.lastPollFailed && s.customer.Steady() {
		found.add(Reason{Code: event.ConditionPollFailing, Unhealthy: true, Since: s.lastPollAt})
	}
	if s.openLetters >= manyLetters {
		found.add(Reason{Code: event.ConditionDLQDepth, Unhealthy: true, Since: s.manyLettersSince})
	}
	for _, alert := range s.standingAlerts() {
		if alert == event.AlertContactShared {
			found.listed = append(found.listed, s.contactShared())
			continue
		}
		reason := Reason{Code: alert, Unhealthy: true, Since: s.raisedAt(alert)}
		if alert == event.AlertBackfillFailed && s.run != nil {
			reason.Text = s.run.Failure
		}
		found.add(reason)
	}
	for _, parked := range s.parks() {
		found.add(s.ofPark(parked))
	}
	if s.customer.StampLag > 0 {
		found.listed = append(found.listed, s.stampsLag())
	}
	if s.closingUntil != nil {
		found.add(Reason{Code: event.ConditionLaneClosing, Until: s.closingUntil})
	}
	if s.run == nil {
		return found.listed
	}
	if s.run.State == store.RunPaused {
		found.add(Reason{Code: "paused", Unhealthy: s.customer.BackfillCompletedAt == nil, Since: &s.run.UpdatedAt})
	}
	if s.rewriteOwed {
		found.add(Reason{Code: "rewrite_unfinished", Unhealthy: !s.rewrites(), Since: s.rewriteSince})
	}
	if s.run.Verified != nil && !*s.run.Verified {
		found.add(Reason{Code: event.ConditionUnverified, Since: s.run.CompletedAt})
	}
	return found.listed
}

// contactShared is nothing wrong with the mirror: both users stand at the destination as it wants them.
func (s standing) contactShared() Reason {
	alert := event.AlertFor(s.customer.ID, event.AlertContactShared)
	if s.shared != nil {
		alert = event.SharedContactFor(s.customer.ID, *s.shared)
	}
	return Reason{Code: alert.Type, Text: alert.Text, Remedy: alert.Remedy, Since: s.raisedAt(alert.Type)}
}

// reasons are listed once for each code.
type reasons struct {
	customer string
	listed   []Reason
}

// add adds a reason, with the code's words and after them its own. A reason that is listed twice holds since the earlier moment, and
// is tried again at the earlier one.
func (r *reasons) add(reason Reason) {
	detail := reason.Text
	reason.Text, reason.Remedy = event.ExplainFor(r.customer, reason.Code)
	reason.Text = event.WithDetail(reason.Text, detail)
	at := slices.IndexFunc(r.listed, func(one Reason) bool { return one.Code == reason.Code })
	if at < 0 {
		r.listed = append(r.listed, reason)
		return
	}
	one := &r.listed[at]
	one.Unhealthy = one.Unhealthy || reason.Unhealthy
	one.Since, one.Until = earlier(one.Since, reason.Since), earlier(one.Until, reason.Until)
	if len(reason.Text) > len(one.Text) {
		one.Text = reason.Text
	}
}

func earlier(one, other *time.Time) *time.Time {
	if one == nil || (other != nil && other.Before(*one)) {
		return other
	}
	return one
}

// parks are what the customer's work waits for; an inactive customer has none.
func (s standing) parks() []store.Parked {
	if !s.customer.Active() {
		return nil
	}
	var parks []store.Parked
	if s.run != nil {
		if parked, ok := s.run.Parked(); ok {
			parks = append(parks, parked)
		}
	}
	for _, parked := range s.parked {
		if parked.Parks > 0 || parked.Until != nil {
			parks = append(parks, parked)
		}
	}
	return parks
}

// ofPark is the reason for work that waits. A wait that was asked for, and a pace that VOMO sets, are nothing wrong: if they
// last too long, an alert stands for that.
func (s standing) ofPark(parked store.Parked) Reason {
	reason := Reason{
		Code: parked.Reason, Text: parked.Detail, Unhealthy: !event.IsWait(parked.Reason),
		Since: parked.Since, Until: parked.Until,
	}
	if reason.Until != nil && reason.Until.Before(s.now) {
		reason.Until = nil // it is being tried
	}
	return reason
}

func (s standing) raisedAt(alert string) *time.Time {
	if at, raised := s.raised[alert]; raised {
		return &at
	}
	return nil
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
	return s.now.Sub(s.pollExpected()) > stalledCadences*time.Duration(s.customer.PollCadenceMinutes)*time.Minute
}

// pollExpected is since when the next poll has been expected: never before the first backfill's end, also of a customer
// that was resumed or got a new token in the middle of it.
func (s standing) pollExpected() time.Time {
	var expected time.Time
	for _, since := range []*time.Time{
		s.customer.LastPolledAt, s.customer.PollPageAt, s.customer.ActiveSince, s.customer.BackfillCompletedAt,
	} {
		if since != nil && since.After(expected) {
			expected = *since
		}
	}
	return expected
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
