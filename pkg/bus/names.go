// Package bus is everything that rollcall calls by name on NATS: streams, subjects, durables, headers; what
// makes them (Ensure, run by `rollcall migrate`), what checks them (Verify, run by services), and how
// messages are published.
//
// It promises that each name stands in one table, that a message is published at least once and recognised
// by its Nats-Msg-Id within a stream's window, and that a refusal of the stream is told apart from an outage.
// It does not know the database, nor what the messages mean.
package bus

import (
	"strings"
)

// Streams.
const (
	StreamOnboarding = "ROLLCALL_ONBOARDING"
	StreamBackfill   = "ROLLCALL_BACKFILL"
	StreamPoll       = "ROLLCALL_POLL"
	StreamReconcile  = "ROLLCALL_RECONCILE"
	StreamDLQ        = "ROLLCALL_DLQ"
	StreamEvents     = "ROLLCALL_EVENTS"
	StreamAlerts     = "ROLLCALL_ALERTS"
	StreamDonations  = "ROLLCALL_DONATIONS"
	StreamWebhooks   = "ROLLCALL_WEBHOOKS"
	StreamWriteback  = "ROLLCALL_WRITEBACK"
	StreamAdvisories = "ROLLCALL_ADVISORIES"
)

// Durable consumers of the services that exist.
const (
	DurableOnboarding = "onboarding"
	DurableBackfill   = "backfill"
	DurablePoller     = "poller"
	DurableReconciler = "reconciler"
	DurableDLQRetry   = "dlq-retry"
	DurableDLQReview  = "dlq-review" // operators' own: no service reads it
	DurableNotifier   = "notifier"   // on the alerts, and on the events that customers get a mail for
	DurableAdvisories = "advisories"
)

// CategoryUserDaily is the category of a daily reconciliation, as its subject has it.
const CategoryUserDaily = "user_daily"

// Subject prefixes; the customer is always the last token.
const (
	onboardingRequest  = "rollcall.onboarding.request."
	onboardingOffboard = "rollcall.onboarding.offboard."
	backfillRequest    = "rollcall.backfill.request."
	dlqRetry           = "rollcall.dlq.retry."
	dlqReview          = "rollcall.dlq.review."
	events             = "rollcall.events."
	alerts             = "rollcall.alerts."
	pollRequest        = "rollcall.poll.request."
	reconcile          = "rollcall.reconcile."
)

// Headers of our own, beside NATS's and CloudEvents'.
const (
	HeaderLetterID        = "Rollcall-Letter-Id"
	HeaderRecordID        = "Rollcall-Record-Id"
	HeaderError           = "Rollcall-Error"
	HeaderErrorClass      = "Rollcall-Error-Class"
	HeaderAttempts        = "Rollcall-Attempts"
	HeaderFirstFailedAt   = "Rollcall-First-Failed-At"
	HeaderOriginalSubject = "Rollcall-Original-Subject"
	HeaderTraceParent     = "traceparent"
	HeaderContentType     = "Content-Type"
	HeaderMsgID           = "Nats-Msg-Id"
)

// SubjectOnboard is where a request to onboard customer is published.
func SubjectOnboard(customer string) string { return onboardingRequest + customer }

// SubjectOffboard is where a request to offboard customer is published.
func SubjectOffboard(customer string) string { return onboardingOffboard + customer }

// SubjectBackfill wakes a worker for customer's backfill.
func SubjectBackfill(customer string) string { return backfillRequest + customer }

// SubjectPoll wakes a worker for customer's poll.
func SubjectPoll(customer string) string { return pollRequest + customer }

// SubjectReconcile wakes a worker for a reconciliation of customer.
func SubjectReconcile(category, customer string) string {
	return reconcile + category + "." + customer
}

// CategoryOf is the category of a reconciliation's subject, "" for any other subject.
func CategoryOf(subject string) string {
	rest, found := strings.CutPrefix(subject, reconcile)
	category, _, whole := strings.Cut(rest, ".")
	if !found || !whole {
		return ""
	}
	return category
}

// SubjectEvent is where an event such as "onboarding.completed" of customer is published.
func SubjectEvent(name, customer string) string { return events + name + "." + customer }

// SubjectAlert is where an alert of customer is published.
func SubjectAlert(severity, kind, customer string) string {
	return alerts + severity + "." + kind + "." + customer
}

// OnboardingSubjects begins the subjects of ROLLCALL_ONBOARDING.
const OnboardingSubjects = "rollcall.onboarding."

// AlertSubjects begins the subject of every alert.
const AlertSubjects = alerts

// SubjectLetter is where ROLLCALL_DLQ shows an open letter: under retry while it is tried again by itself,
// under review when it waits for an operator.
func SubjectLetter(retryable bool, kind, customer string) string {
	if retryable {
		return dlqRetry + kind + "." + customer
	}
	return dlqReview + kind + "." + customer
}

// Retries matches what IsRetry does.
const Retries = dlqRetry + ">"

// IsRetry says whether subject shows a letter that is tried again by itself, or asks for one.
func IsRetry(subject string) bool { return strings.HasPrefix(subject, dlqRetry) }

// IsAckSample says whether the server tells on subject of an ack of dlq-review; IsMaxDeliveries, of a message that ran
// out of deliveries.
func IsAckSample(subject string) bool { return strings.HasPrefix(subject, ackSamples) }

// IsMaxDeliveries is described at IsAckSample.
func IsMaxDeliveries(subject string) bool { return strings.HasPrefix(subject, maxDeliveries) }

// IsOnboarding says whether subject asks to onboard or to offboard a customer: subjects that begin with OnboardingSubjects.
func IsOnboarding(subject string) bool { return strings.HasPrefix(subject, OnboardingSubjects) }

// IsOffboard says whether subject asks to offboard a customer.
func IsOffboard(subject string) bool { return strings.HasPrefix(subject, onboardingOffboard) }

// CustomerOf is the customer token of a subject, its last; it may be anything that a publisher wrote there.
func CustomerOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// Coalesces says whether a second message for a busy subject may be dropped: a poll that stands there already
// reads what the second one would have read.
func Coalesces(subject string) bool { return strings.HasPrefix(subject, pollRequest) }

// streamOfOne is the stream of a subject of which one message at a time is taken, "" for other subjects.
func streamOfOne(subject string) string {
	switch {
	case strings.HasPrefix(subject, backfillRequest):
		return StreamBackfill
	case strings.HasPrefix(subject, pollRequest):
		return StreamPoll
	case strings.HasPrefix(subject, reconcile):
		return StreamReconcile
	}
	return ""
}
