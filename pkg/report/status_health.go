package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	// manyLetters is the number of open letters that makes a customer unhealthy (docs/guides.md#sync-status).
	manyLetters = 10
	// stalledCadences is the number of cadences without a poll after which polling is stalled.
	stalledCadences = 2
)

// Health lists what is wrong, with remedies. It depends on the end of the last successful poll (the heartbeat) and not on
// the checkpoint's age: an organisation in which no user changes is healthy. IsHealthy is null until the first poll after
// the first backfill, unless something is wrong before.
type Health struct {
	DlqDepth                     int64    `json:"dlqDepth"`
	AverageReconciliationGapRate *float64 `json:"averageReconciliationGapRate"` // of 7 days; null without a reconciliation
	IsHealthy                    *bool    `json:"isHealthy"`
	Reasons                      []Reason `json:"reasons"`
}

// Reason is one thing that is wrong, or that an operator should know.
type Reason struct {
	Code      string     `json:"code"`
	Text      string     `json:"text"`
	Remedy    string     `json:"remedy"`
	Unhealthy bool       `json:"unhealthy"` // false: for information only
	Since     *time.Time `json:"since"`     // null if not known
	Until     *time.Time `json:"until"`     // when the work that waits for it is tried again; null if no time is set
}

// healthFacts has the facts from which a customer's health is computed, for a status and for a list. Times that only a status
// shows are nil in a list.
type healthFacts struct {
	customer         store.Customer
	now              time.Time  // the database's
	run              *store.Run // the newest backfill
	rewriteOwed      bool
	rewriteSince     *time.Time
	lastPollFailed   bool
	lastPollAt       *time.Time
	openLetters      int64
	manyLettersSince *time.Time
	alerts           []string              // types of the active alerts, oldest first
	raised           map[string]time.Time  // when each was raised
	parked           []store.Parked        // of scheduled runs and letters; the backfill's park is in run
	giving           *store.DonationCounts // nil in a list, and without Virtuous
	contacts         store.ContactFigures
	shared           *store.SharedContact // two users who are one record at the destination; always nil in a list
	closingUntil     *time.Time           // when the lane of a stopped job is free at the latest
}

// reasons returns the reasons in this order: what stops everything, what stops the polls, other alerts, parks, and
// information.
func (s healthFacts) reasons() []Reason {
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
	for _, alert := range s.activeAlerts() {
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
	s.addGiving(&found)
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

// contactShared returns the reason for a shared contact. It is information: the destination has both users as it wants
// them.
func (s healthFacts) contactShared() Reason {
	alert := event.AlertFor(s.customer.ID, event.AlertContactShared)
	if s.shared != nil {
		alert = event.SharedContactFor(s.customer.ID, *s.shared)
	}
	return Reason{Code: alert.Type, Text: alert.Text, Remedy: alert.Remedy, Since: s.raisedAt(alert.Type)}
}

// reasons lists each code once.
type reasons struct {
	customer string
	listed   []Reason
}

// add adds a reason. Its text is the text of its code, followed by its own. If the code is listed already, the earlier
// times are kept.
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

// parks returns the parks of the customer's work. An inactive customer has none; giving goes on while the mirror is switched off.
func (s healthFacts) parks() []store.Parked {
	if s.customer.PausedAt != nil || s.customer.OffboardedAt != nil {
		return nil
	}
	var parks []store.Parked
	if s.run != nil && s.customer.Enabled {
		if parked, ok := s.run.Parked(); ok {
			parks = append(parks, parked)
		}
	}
	for _, parked := range s.parked {
		if !s.customer.Enabled && parked.Work != store.WorkGiving {
			continue
		}
		if parked.Parks > 0 || parked.Until != nil {
			parks = append(parks, parked)
		}
	}
	return parks
}

// ofPark returns the reason for parked work. A wait that an operator configured or that VOMO requires is healthy: if it
// lasts too long, an alert is raised.
func (s healthFacts) ofPark(parked store.Parked) Reason {
	reason := Reason{
		Code: parked.Reason, Text: parked.Detail, Unhealthy: !event.IsWait(parked.Reason),
		Since: parked.Since, Until: parked.Until,
	}
	if reason.Until != nil && reason.Until.Before(s.now) {
		reason.Until = nil // the attempt is under way
	}
	return reason
}

func (s healthFacts) raisedAt(alert string) *time.Time {
	if at, raised := s.raised[alert]; raised {
		return &at
	}
	return nil
}

// activeAlerts returns the types of the active alerts. A stall ends with a poll, but its alert is cleared only at the
// notifier's next check, so it is left out before that.
func (s healthFacts) activeAlerts() []string {
	return slices.DeleteFunc(slices.Clone(s.alerts), func(alert string) bool { return alert == event.AlertPollStalled && !s.stalled() })
}

// switchedOff returns the condition of a customer that is switched off, or "".
func (s healthFacts) switchedOff() string {
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

// stalled reports whether no poll has ended for two cadences, as the alert does.
func (s healthFacts) stalled() bool {
	if !s.customer.Steady() {
		return false
	}
	return s.now.Sub(s.pollExpected()) > stalledCadences*time.Duration(s.customer.PollCadenceMinutes)*time.Minute
}

// pollExpected returns since when the next poll is expected. It is never before the end of the first backfill, also if the
// customer was resumed or got a new token during it.
func (s healthFacts) pollExpected() time.Time {
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

// rewrites reports whether an unfinished run writes all users again.
func (s healthFacts) rewrites() bool {
	return s.run.Rewrite != nil && s.run.State.Open() && s.run.State != store.RunPaused && s.customer.Active()
}

// healthy returns nil if nothing is wrong and there was no poll yet. A customer with Virtuous alone is not polled.
func (s healthFacts) healthy(reasons []Reason) *bool {
	well := !slices.ContainsFunc(reasons, func(reason Reason) bool { return reason.Unhealthy })
	if well && s.customer.Mirrors() && (s.customer.BackfillCompletedAt == nil || s.customer.LastPolledAt == nil) {
		return nil
	}
	return &well
}

// stampsLag returns the reason that says how far VOMO's updated_at are behind its clock.
func (s healthFacts) stampsLag() Reason {
	text, remedy := event.ExplainFor(s.customer.ID, event.ConditionStampsLag)
	text = strings.ReplaceAll(text, "<lag>", inHours(s.customer.StampLag))
	return Reason{Code: event.ConditionStampsLag, Text: text, Remedy: remedy, Since: s.customer.StampLagSince}
}

func inHours(d time.Duration) string {
	hours, minutes := int(d.Hours()), int(d.Minutes())%60
	switch {
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d h %d min", hours, minutes)
}
