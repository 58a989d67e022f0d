// Package event creates events and alerts as outbox messages.
//
// It owns their subjects, their CloudEvents headers and their ids. It promises that the same fact gives the
// same Nats-Msg-Id, so that a relay that publishes twice is recognised, and that no event carries a person's
// data. It publishes nothing itself: the caller's transaction does.
package event

import (
	"context"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Names of events, in the subject's form <entity>.<verb>.
const (
	OnboardingCompleted = "onboarding.completed"
	OnboardingRejected  = "onboarding.rejected"
	OnboardingDelayed   = "onboarding.delayed"
	BackfillStarted     = "backfill.started"
	BackfillCompleted   = "backfill.completed"
	BackfillFailed      = "backfill.failed"

	UserCreated             = "user.created"
	UserUpdated             = "user.updated"
	UserDeleted             = "user.deleted"
	ReconciliationCompleted = "reconciliation.completed"

	ParticipationCreated = "participation.created"
	ParticipationChanged = "participation.changed"
	ParticipationRemoved = "participation.removed"
	DeletionsCompleted   = "deletions.completed"

	GiftCreated      = "gift.created"
	GiftUpdated      = "gift.updated"
	GiftDeleted      = "gift.deleted"
	GiftConfirmed    = "gift.confirmed"
	ContactCreated   = "contact.created"
	ContactUpdated   = "contact.updated"
	ContactMerged    = "contact.merged"
	DonationRejected = "donation.rejected"
	DonationFailed   = "donation.failed"

	DonationNeedsReview = "donation.needs_review"
	ReportStored        = "report.stored" // the notifier mails what waits for the customer's staff
	ReportReady         = "report.ready"  // the same for partners' endpoints

	ContactConfirmed   = "contact.confirmed"
	ContactRejected    = "contact.rejected"
	ContactFailed      = "contact.failed"
	ContactNeedsReview = "contact.needs_review"
	ContactDiffers     = "contact.differs"
)

// Types of alerts.
const (
	AlertDestinationDown       = "destination_down"
	AlertDestinationRedirect   = "destination_redirect"
	AlertDestinationUnclear    = "destination_unclear"
	AlertDestinationNotPublic  = "destination_not_public"
	AlertDestinationAuthFailed = "destination_auth_failed"
	AlertAuthFailed            = "auth_failed"
	AlertBackfillFailed        = "backfill_failed"
	AlertVomoForbidden         = "vomo_forbidden"
	AlertVomoRefusesMany       = "vomo_refuses_many" // of the installation, not of one customer
	AlertPollStalled           = "poll_stalled"
	AlertBackfillStalled       = "backfill_stalled"
	AlertReconcileStalled      = "reconcile_stalled"
	AlertContactShared         = "contact_shared"
	AlertDeletionsHeld         = "deletions_held"
	AlertDLQAge                = "dlq_age"
	AlertDLQGrowth             = "dlq_growth"
	AlertOutboxStalled         = "outbox_stalled"      // of the installation
	AlertAuditUnpartitioned    = "audit_unpartitioned" // of the installation
	AlertMessageNotErased      = "message_not_erased"
	AlertOnboardingLetter      = "onboarding_letter"
	AlertKeeperUnavailable     = "keeper_unavailable"           // of the installation
	AlertDatabaseUnavailable   = "database_unavailable"         // of the installation; only the notifier sends it
	AlertEmailChanged          = "email_changed"                // about one user: published once, and never cleared
	AlertEmailMismatch         = "email_mismatch_bidirectional" // about one user, as email_changed
	AlertWritebackForbidden    = "writeback_forbidden"
	AlertVirtuousAuthFailed    = "virtuous_auth_failed"
	AlertVirtuousForbidden     = "virtuous_forbidden"
	AlertVirtuousRefusesMany   = "virtuous_refuses_many" // of the installation
	AlertGivingPendingAge      = "giving_pending_age"
	AlertWebhookSignatures     = "webhook_signature_failures"
	AlertImportNotRun          = "import_not_run"
	AlertWebhookSilent         = "webhook_silent"
	AlertGiftDeletionsHeld     = "gift_deletions_held"
	AlertWebhookOrphaned       = "webhook_orphaned" // once, when a subscription stays at Virtuous
	AlertEndpointFailing       = "endpoint_failing" // of the customer whose endpoint it is, or of the installation
)

// Fact is an event. ID is unique to it, and the same each time it is published.
type Fact struct {
	Name     string
	Customer string
	ID       string
	At       time.Time
	TraceID  string
	Data     proto.Message
}

// Message returns the fact as an outbox message with CloudEvents attributes in its headers (binary mode).
func (f Fact) Message() (store.Message, error) {
	payload, err := rollcallv1.Encode(f.Data)
	if err != nil {
		return store.Message{}, err
	}
	headers := map[string]string{
		bus.HeaderContentType: "application/json",
		"ce-specversion":      "1.0",
		"ce-id":               f.ID,
		"ce-source":           "/rollcall/customers/" + f.Customer,
		"ce-type":             "rollcall." + f.Name + ".v1",
		"ce-subject":          f.Customer,
		"ce-time":             f.At.UTC().Format(time.RFC3339Nano),
		"ce-datacontenttype":  "application/json",
	}
	if f.TraceID != "" {
		headers[bus.HeaderTraceParent] = f.TraceID
	}
	return store.Message{Subject: bus.SubjectEvent(f.Name, f.Customer), ID: f.ID, Headers: headers, Payload: payload}, nil
}

// Alert is a condition of which people are notified, once when it is raised and once when it is cleared.
type Alert struct {
	Customer string
	Type     string
	Severity string
	Text     string
	Remedy   string
	VomoID   string    // of the user that the alert is about, or ""
	TraceID  string    //
	RaisedAt time.Time // zero if it is raised now
}

// Message returns the alert as an outbox message. id is the alert row's id, at the time at which it was raised or cleared.
func (a Alert) Message(id string, cleared bool, at time.Time) (store.Message, error) {
	raisedAt := a.RaisedAt
	if raisedAt.IsZero() {
		raisedAt = at
	}
	payload, err := rollcallv1.Encode(&rollcallv1.Alert{
		CustomerId: a.Customer, Type: a.Type, Severity: a.Severity, Cleared: cleared, Text: a.Text, Remedy: a.Remedy,
		At: timestamppb.New(at), VomoUserId: a.VomoID, TraceId: a.TraceID, RaisedAt: timestamppb.New(raisedAt),
	})
	if err != nil {
		return store.Message{}, err
	}
	if cleared {
		id += "-cleared"
	}
	headers := map[string]string{bus.HeaderContentType: "application/json"}
	if a.TraceID != "" {
		headers[bus.HeaderTraceParent] = a.TraceID
	}
	return store.Message{Subject: bus.SubjectAlert(a.Severity, a.Type, a.Customer), ID: "alert-" + id, Headers: headers, Payload: payload}, nil
}

// Count returns a number with 32 bits for an event, because protobuf JSON writes a wider one as a string.
func Count(number int64) int32 {
	return int32(min(max(number, 0), math.MaxInt32))
}

// Raise stores an alert and publishes it, unless it is already active.
func Raise(ctx context.Context, tx *store.Tx, alert Alert) error {
	id, raised, err := tx.RaiseAlert(ctx, alert.Customer, alert.Type, alert.Severity)
	if err != nil || !raised {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	message, err := alert.Message(strconv.FormatInt(id, 10), false, now)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// Clear ends an active alert and publishes that, with the time at which it was raised. It does nothing if the alert is not active.
func Clear(ctx context.Context, tx *store.Tx, customer, kind, text string) error {
	active, cleared, err := tx.ClearAlert(ctx, customer, kind)
	if err != nil || !cleared {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	over := Alert{Customer: customer, Type: kind, Severity: active.Severity, Text: text, RaisedAt: active.RaisedAt}
	message, err := over.Message(strconv.FormatInt(active.ID, 10), true, now)
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}

// Names of events about operators' commands.
const (
	BackfillPaused    = "backfill.paused"
	BackfillResumed   = "backfill.resumed"
	BackfillCancelled = "backfill.cancelled"
	ConfigChanged     = "config.changed"
	CustomerPaused    = "customer.paused"
	CustomerResumed   = "customer.resumed"

	CustomerOffboarded = "customer.offboarded"
	CustomerPurged     = "customer.purged"
)
