package report

import (
	"context"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	maxAlerts    = 200                // below a kilobyte each
	alertsListed = 7 * 24 * time.Hour // how long cleared alerts are listed
)

// Alerts answers rollcall.api.alerts.ls. ErrNotFound if no customer of that id was onboarded and no
// alert of it is active.
func Alerts(ctx context.Context, from *store.Store, question operatorapi.AlertsQuestion) (operatorapi.AlertsReply, error) {
	reply := operatorapi.AlertsReply{Alerts: []operatorapi.Alert{}}
	limit := pageLimit(question.Limit, maxAlerts)
	asked := store.AlertsAsked{AtMost: limit + 1}
	if question.CustomerID != "" {
		asked.Customer = &question.CustomerID
	}
	if question.Before != 0 {
		asked.Before = &question.Before
	}
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
		shown := operatorapi.Alert{
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
