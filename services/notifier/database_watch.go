package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// databaseWatch notifies operators on every channel that Postgres is unavailable, and that it is back. It works without
// Postgres, so it cannot note what was sent: each replica sends its own notices, and a restarted one sends them again.
type databaseWatch struct {
	notifier *notifier
	logger   *zap.Logger
	now      func() time.Time
	since    time.Time       // start of the outage; zero while Postgres is available
	notified map[string]bool // channels that got "raised" and not yet "cleared"
}

// check takes the outcome of a query to Postgres.
func (d *databaseWatch) check(ctx context.Context, outcome error) {
	switch {
	case errors.Is(outcome, store.ErrUnavailable):
		if d.since.IsZero() {
			d.since, d.notified = d.now(), map[string]bool{}
		}
		if d.now().Sub(d.since) >= outboxStalledAfter {
			d.notify(ctx, false)
		}
	case outcome == nil && !d.since.IsZero():
		d.notify(ctx, true)
		if len(d.notified) == 0 {
			d.since = time.Time{}
		}
	}
}

// notify sends the outage's "raised" or "cleared" notice on the channels that have not got it. Failed channels are tried
// again at the next check.
func (d *databaseWatch) notify(ctx context.Context, cleared bool) {
	notices, err := d.notices(cleared)
	if err != nil {
		d.logger.Error("notices of the outage of Postgres not written", zap.Error(err))
		return
	}
	for _, notice := range notices {
		if d.notified[notice.channel] != cleared {
			continue
		}
		err := notice.send(ctx)
		if err != nil && fault.KindOf(err) != fault.KindPermanent {
			d.logger.Warn("notice of the outage of Postgres not sent; it will be retried", zap.String("channel", notice.channelType), zap.Error(err))
			continue
		}
		d.logger.Warn("notice of the outage of Postgres sent", zap.String("channel", notice.channelType), zap.Bool("cleared", cleared), zap.Error(err))
		if cleared {
			delete(d.notified, notice.channel)
		} else {
			d.notified[notice.channel] = true
		}
	}
}

func (d *databaseWatch) notices(cleared bool) ([]notice, error) {
	outage, at := event.AlertFor(rollcallv1.Installation, event.AlertDatabaseUnavailable), d.since
	outage.RaisedAt = d.since
	if cleared {
		outage.Text, outage.Remedy, at = "Postgres is available again, and work continues.", "", d.now()
	}
	message, err := outage.Message("database-"+strconv.FormatInt(d.since.Unix(), 10), cleared, at)
	if err != nil {
		return nil, err
	}
	alert := &rollcallv1.Alert{}
	if err := rollcallv1.Read(message.Payload, alert); err != nil {
		return nil, err
	}
	return d.notifier.operatorNotices(message.ID, alert)
}
