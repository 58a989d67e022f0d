// Package event makes the messages that tell others what happened: events and alerts, as outbox messages.
//
// It owns their subjects, their CloudEvents headers and their ids. It promises that the same fact gives the
// same Nats-Msg-Id, so that a relay that publishes twice is recognised, and that no event carries a person's
// data. It publishes nothing itself: the caller's transaction does.
package event

import (
	"math"
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
	ReconciliationCompleted = "reconciliation.completed"
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
	AlertDLQAge                = "dlq_age"
	AlertDLQGrowth             = "dlq_growth"
	AlertOutboxStalled         = "outbox_stalled" // of the installation
	AlertMessageNotErased      = "message_not_erased"
	AlertOnboardingLetter      = "onboarding_letter"
	AlertKeeperUnavailable     = "keeper_unavailable"   // of the installation
	AlertDatabaseUnavailable   = "database_unavailable" // of the installation; the notifier alone sends it
	AlertEmailChanged          = "email_changed"        // of one user: sent once, and never cleared
)

// Fact is what happened: ID is unique to it and the same each time it is published.
type Fact struct {
	Name     string
	Customer string
	ID       string
	At       time.Time
	TraceID  string
	Data     proto.Message
}

// Message is the fact as an outbox message with CloudEvents attributes in its headers (binary mode).
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

// Alert is a condition that people are notified of, once when it begins and once when it clears.
type Alert struct {
	Customer string
	Type     string
	Severity string
	Text     string
	Remedy   string
	VomoID   string    // of one user alone
	TraceID  string    //
	RaisedAt time.Time // zero where it begins now
}

// Message is the alert as an outbox message; id is the alert row's, at is when it was raised or cleared.
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

// Count is a number as events carry it: 32 bits, since protobuf JSON would write a wider one as a string.
func Count(number int64) int32 {
	return int32(min(max(number, 0), math.MaxInt32))
}
