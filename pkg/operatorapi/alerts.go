package operatorapi

import (
	"time"
)

// Alert is one line of `rollcall alerts ls`.
type Alert struct {
	ID         int64      `json:"id"`
	CustomerID string     `json:"customerId"`
	Type       string     `json:"type"`
	Severity   string     `json:"severity"`
	VomoUserID *string    `json:"vomoUserId"` // null unless it concerns one user
	RaisedAt   time.Time  `json:"raisedAt"`
	ClearedAt  *time.Time `json:"clearedAt"` // null while it is active
	Text       string     `json:"text"`
	Remedy     string     `json:"remedy"`
}

// AlertsQuestion asks for alerts, newest first: active ones, and with All also those that were cleared in the last days.
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

// Outcomes of a test on one channel.
const (
	TestSent          = "sent"
	TestFailed        = "failed"
	TestNotConfigured = "not_configured"
)

// ChannelTest is the result of a test on one channel.
type ChannelTest struct {
	Channel string `json:"channel"` // "webhook", "mail_operators"
	Outcome string `json:"outcome"`
	Code    string `json:"code"`   // "" if it was sent
	Detail  string `json:"detail"` // what went wrong, or which setting is missing
}

// AlertsTested answers rollcall.api.alerts.test. It has an entry for each channel, and for each recipient of mails.
type AlertsTested struct {
	Channels []ChannelTest `json:"channels"`
}
