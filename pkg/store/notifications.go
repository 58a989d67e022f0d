package store

import (
	"context"
	"slices"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// What became of a notification; the words of notifications.outcome.
const (
	NotificationSent    = "sent"
	NotificationFailed  = "failed"  // refused for good
	NotificationSkipped = "skipped" // there was nobody to tell, or nothing any more
)

// Notification is what a message came to on one channel.
type Notification struct {
	MessageID string
	Channel   string
	Outcome   string
	Code      string // why it was not sent
}

// Told says which of the channels need nothing more of a message.
func (c Conn) Told(ctx context.Context, messageID string) (channels []string, err error) {
	channels, err = c.queries.NotificationChannels(ctx, c.dbtx, messageID)
	return channels, wrap("read notifications", err)
}

// NoteTold notes what became of a message on a channel, after it was sent: a crash in between sends it once more.
// What was noted first stays.
func (c Conn) NoteTold(ctx context.Context, note Notification) error {
	params := &db.NotificationInsertIfNewParams{MessageID: note.MessageID, Channel: note.Channel, Outcome: note.Outcome}
	if note.Code != "" {
		params.ErrorCode = &note.Code
	}
	return wrap("note notification", c.queries.NotificationInsertIfNew(ctx, c.dbtx, params))
}

// ForgetTold deletes up to atMost notes that are older than age, and returns how many it deleted.
func (c Conn) ForgetTold(ctx context.Context, age time.Duration, atMost int32) (int64, error) {
	deleted, err := c.queries.NotificationsForgetOld(ctx, c.dbtx, &db.NotificationsForgetOldParams{OlderThan: age, AtMost: atMost})
	return deleted, wrap("forget notifications", err)
}

// AlertStands says whether an alert of that type stands for the customer.
func (c Conn) AlertStands(ctx context.Context, customer, kind string) (bool, error) {
	standing, err := c.StandingAlerts(ctx, customer)
	return slices.ContainsFunc(standing, func(alert StandingAlert) bool { return alert.Type == kind }), err
}
