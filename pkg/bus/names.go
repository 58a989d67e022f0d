// Package bus defines every name that rollcall uses on NATS: streams, subjects, durables, headers. It creates the
// streams and consumers (Ensure, run by `rollcall migrate`), checks them (Verify, run by the services), and publishes
// messages.
//
// Each name is defined in one place. A message is published at least once, and the stream recognises a repeated
// Nats-Msg-Id within its window. A busy subject, a full stream and an outage are different errors. The package does
// not know the database or the meaning of messages.
package bus

import (
	"strings"

	"rollcall.dev/pkg/telemetry"
)

// StreamPrefix begins the name of each stream.
const StreamPrefix = "ROLLCALL_"

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
	DurableDLQReview  = "dlq-review" // for operators: no service reads it
	DurableNotifier   = "notifier"   // on the alerts, and on the events that customers get mail about
	DurableAdvisories = "advisories"
	DurableWriteback  = "writeback"
	DurableDonations  = "donations"
	DurableWebhooks   = "webhooks" // read by the service donations, which applies what the service webhooks received
	// DurableEndpoints is on the alerts, and on the events about customers' lifecycles: the notifier sends them to partners' endpoints.
	DurableEndpoints = "endpoints"
	// DurableEndpointRecords is on the events about records. The notifier makes it when an endpoint names one of them, and deletes it when
	// none does: there may be a million of them a day that no endpoint wants.
	DurableEndpointRecords = "endpoint-records"
)

// CategoryUserDaily is the category of a daily reconciliation in its subject.
const CategoryUserDaily = "user_daily"

// CategoryUserDeletions is the category of a deletion scan in its subject.
const CategoryUserDeletions = "user_deletions"

// CategoryParticipations is the category of a cycle of participations in its subject.
const CategoryParticipations = "participations"

// Categories of reconciliations with Virtuous CRM+ in their subjects.
const (
	CategoryStuck          = "stuck"
	CategoryNeedsUpdate    = "needs_update"
	CategoryMissedWebhook  = "missed_webhook"
	CategoryContactChanges = "contact_changes"
	CategoryGiftDeletions  = "gift_deletions"
	CategoryDrift          = "drift"
	CategoryReport         = "report"
)

// Categories are the categories of reconciliations that the reconciler serves.
func Categories() []string {
	return append([]string{CategoryUserDaily, CategoryUserDeletions, CategoryParticipations}, GivingCategories()...)
}

// GivingCategories are those of reconciliations with Virtuous CRM+, in the order in which those that are due together are worked.
func GivingCategories() []string {
	return []string{CategoryStuck, CategoryNeedsUpdate, CategoryMissedWebhook, CategoryContactChanges, CategoryGiftDeletions, CategoryDrift, CategoryReport}
}

// Subject prefixes. The customer is the last token, except in the subjects of letters: see LetterSubject.
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
	writebackUser      = "rollcall.writeback.user."
	donationSubmit     = "rollcall.donations.submit."
	donationContact    = "rollcall.donations.contact."
	givingApplied      = "rollcall.giving.applied."
	webhooksVirtuous   = "rollcall.webhooks.virtuous."
)

// Headers: rollcall's own, and those of other standards that it uses.
const (
	HeaderLetterID        = "Rollcall-Letter-Id"
	HeaderLetterRevision  = "Rollcall-Letter-Revision" // on rollcall's own messages; a message without it is an operator's request
	HeaderRecordID        = "Rollcall-Record-Id"
	HeaderError           = "Rollcall-Error"
	HeaderErrorClass      = "Rollcall-Error-Class"
	HeaderAttempts        = "Rollcall-Attempts"
	HeaderFirstFailedAt   = "Rollcall-First-Failed-At"
	HeaderOriginalSubject = "Rollcall-Original-Subject"
	HeaderOperator        = "Rollcall-Operator" // who sends a request, as `rollcall` says it
	HeaderTraceParent     = telemetry.HeaderTraceParent
	HeaderContentType     = "Content-Type"
	HeaderMsgID           = "Nats-Msg-Id"
)

// SubjectOnboard returns the subject of a request to onboard customer.
func SubjectOnboard(customer string) string { return onboardingRequest + customer }

// SubjectOffboard returns the subject of a request to offboard customer.
func SubjectOffboard(customer string) string { return onboardingOffboard + customer }

// SubjectBackfill returns the subject of a request to run customer's backfill.
func SubjectBackfill(customer string) string { return backfillRequest + customer }

// SubjectPoll returns the subject of a request to run customer's poll.
func SubjectPoll(customer string) string { return pollRequest + customer }

// SubjectReconcile returns the subject of a request to reconcile customer.
func SubjectReconcile(category, customer string) string {
	return reconcile + category + "." + customer
}

// SubjectWriteback returns the subject of a request to write a user's values to customer's VOMO.
func SubjectWriteback(customer string) string { return writebackUser + customer }

// SubjectDonation returns the subject of a donation that is to be in customer's Virtuous.
func SubjectDonation(customer string) string { return donationSubmit + customer }

// SubjectContact returns the subject of a contact that is to be in customer's Virtuous.
func SubjectContact(customer string) string { return donationContact + customer }

// IsContact reports whether subject is of a contact that is to be in a customer's Virtuous.
func IsContact(subject string) bool { return strings.HasPrefix(subject, donationContact) }

// SubjectApplied returns the subject on which customer's platform says that it has Virtuous' values by now.
func SubjectApplied(customer string) string { return givingApplied + customer }

// IsApplied reports whether on subject a platform says that it has Virtuous' values by now.
func IsApplied(subject string) bool { return strings.HasPrefix(subject, givingApplied) }

// SubjectWebhooks returns the subject of what customer's Virtuous delivered by webhook.
func SubjectWebhooks(customer string) string { return webhooksVirtuous + customer }

// CategoryOf returns the category in a reconciliation's subject, "" for any other subject.
func CategoryOf(subject string) string {
	rest, found := strings.CutPrefix(subject, reconcile)
	category, _, hasCustomer := strings.Cut(rest, ".")
	if !found || !hasCustomer {
		return ""
	}
	return category
}

// SubjectEvent returns the subject of an event of customer, such as "onboarding.completed".
func SubjectEvent(name, customer string) string { return events + name + "." + customer }

// SubjectAlert returns the subject of an alert of customer.
func SubjectAlert(severity, kind, customer string) string {
	return alerts + severity + "." + kind + "." + customer
}

// OnboardingSubjects is the prefix of the subjects of ROLLCALL_ONBOARDING.
const OnboardingSubjects = "rollcall.onboarding."

// AlertSubjects is the prefix of every alert's subject.
const AlertSubjects = alerts

// Retries is the filter of dlq-retry: the subjects of letters that rollcall retries, and of requests to retry one.
const Retries = dlqRetry + ">"

// IsAckSample reports whether the server publishes on subject that a message of dlq-review was acked.
func IsAckSample(subject string) bool { return strings.HasPrefix(subject, ackSamples) }

// IsMaxDeliveries reports whether the server publishes on subject that a message reached its maximum deliveries.
func IsMaxDeliveries(subject string) bool { return strings.HasPrefix(subject, maxDeliveries) }

// IsOnboarding reports whether subject is of a request to onboard or offboard a customer: it begins with
// OnboardingSubjects.
func IsOnboarding(subject string) bool { return strings.HasPrefix(subject, OnboardingSubjects) }

// IsOffboard reports whether subject is of a request to offboard a customer.
func IsOffboard(subject string) bool { return strings.HasPrefix(subject, onboardingOffboard) }

// LifecycleEvents are the names of the events about a customer's lifecycle, of which partners' endpoints get all that they ask for.
func LifecycleEvents() []string {
	return []string{
		"onboarding.completed", "onboarding.rejected", "onboarding.delayed",
		"backfill.started", "backfill.completed", "backfill.failed", "backfill.paused", "backfill.resumed", "backfill.cancelled",
		"reconciliation.completed", "deletions.completed", "report.ready",
		"config.changed", "customer.paused", "customer.resumed", "customer.offboarded", "customer.purged",
	}
}

// RecordEvents are the names of the events about single records, of which partners' endpoints get those that they name.
func RecordEvents() []string {
	return []string{
		"user.created", "user.updated", "user.deleted", "participation.created", "participation.changed", "participation.removed",
		"gift.created", "gift.updated", "gift.deleted", "gift.confirmed", "contact.created", "contact.updated", "contact.merged",
		"contact.confirmed", "contact.rejected", "contact.failed", "contact.needs_review", "contact.differs",
		"donation.rejected", "donation.failed", "donation.needs_review",
	}
}

// EventOf returns the name of the event in a subject, such as "onboarding.completed"; "" for any other subject.
func EventOf(subject string) string {
	rest, found := strings.CutPrefix(subject, events)
	last := strings.LastIndexByte(rest, '.')
	if !found || last < 0 {
		return ""
	}
	return rest[:last]
}

// CustomerOf returns the last token of a subject, the customer. A publisher may have written anything there.
func CustomerOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// Coalesces reports whether a second message for a busy subject may be dropped: the poll that is already queued reads
// what the second one would have read.
func Coalesces(subject string) bool { return strings.HasPrefix(subject, pollRequest) }

// onePerSubjectStream returns the stream of a subject that holds one message at a time, "" for other subjects.
func onePerSubjectStream(subject string) string {
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
