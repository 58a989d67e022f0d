package report

import (
	"context"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Alert is one line of `rollcall alerts ls`.
type Alert struct {
	ID         int64      `json:"id"`
	CustomerID string     `json:"customerId"`
	Type       string     `json:"type"`
	Severity   string     `json:"severity"`
	VomoUserID *string    `json:"vomoUserId"` // null where it is not of one user alone
	RaisedAt   time.Time  `json:"raisedAt"`
	ClearedAt  *time.Time `json:"clearedAt"` // null while it stands
	Text       string     `json:"text"`
	Remedy     string     `json:"remedy"`
}

// AlertsQuestion asks for alerts, newest first: those that stand, and with All those that were over in the last days.
type AlertsQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // absent: of all
	All        bool   `json:"all,omitempty"`
	Before     int64  `json:"before,omitempty"` // ids below this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`  // at most 200, default 50
}

// AlertsReply is one page; Next is null on the last.
type AlertsReply struct {
	Alerts []Alert `json:"alerts"`
	Next   *int64  `json:"next"`
}

const (
	maxAlerts    = 200                // below a kilobyte each
	alertsListed = 7 * 24 * time.Hour // of those that are over
)

// Alerts answers rollcall.api.alerts.ls. ErrNotFound if no customer of that id was onboarded and no
// alert of it is active.
func Alerts(ctx context.Context, from *store.Store, question AlertsQuestion) (AlertsReply, error) {
	reply := AlertsReply{Alerts: []Alert{}}
	limit := pageLimit(question.Limit, maxAlerts)
	asked := store.AlertsAsked{Customer: question.CustomerID, Before: question.Before, Limit: limit + 1}
	if question.All {
		asked.ClearedWithin = alertsListed
	}
	lines, err := from.Alerts(ctx, asked)
	if err != nil {
		return reply, err
	}
	if len(lines) == 0 && question.Before == 0 && rollcallv1.ValidCustomerID(question.CustomerID) {
		_, err := from.Customer(ctx, question.CustomerID)
		return reply, err
	}
	if len(lines) > int(limit) { // one more tells whether this page is the last
		lines = lines[:limit]
		reply.Next = &lines[limit-1].ID
	}
	for _, line := range lines {
		text, remedy := event.ExplainFor(line.Customer, line.Type)
		shown := Alert{
			ID: line.ID, CustomerID: line.Customer, Type: line.Type, Severity: line.Severity, RaisedAt: line.RaisedAt, ClearedAt: line.ClearedAt,
			Text: text, Remedy: remedy,
		}
		if line.VomoID != "" {
			shown.VomoUserID = &line.VomoID
		}
		reply.Alerts = append(reply.Alerts, shown)
	}
	return reply, nil
}

// Outcomes of a test on one channel.
const (
	TestSent          = "sent"
	TestFailed        = "failed"
	TestNotConfigured = "not_configured"
)

// ChannelTest is what a channel answered.
type ChannelTest struct {
	Channel string `json:"channel"` // "webhook", "mail_operators"
	Outcome string `json:"outcome"`
	Code    string `json:"code"`   // "" where it was sent
	Detail  string `json:"detail"` // what went wrong, or which setting is missing
}

// AlertsTested answers rollcall.api.alerts.test: a line for each channel, and for each recipient of mails.
type AlertsTested struct {
	Channels []ChannelTest `json:"channels"`
}
