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

// databaseWatch tells operators that Postgres is away, and that it is back, on every channel and without Postgres. It can
// note nothing: each replica tells of an outage for itself, and one that is restarted meanwhile tells of it again.
type databaseWatch struct {
	told   *notifier
	logger *zap.Logger
	now    func() time.Time
	since  time.Time       // zero while Postgres is there
	begun  map[string]bool // by channel: told that it began, and not yet that it is over
}

// look goes by what became of a question to Postgres.
func (d *databaseWatch) look(ctx context.Context, outcome error) {
	switch {
	case errors.Is(outcome, store.ErrUnavailable):
		if d.since.IsZero() {
			d.since, d.begun = d.now(), map[string]bool{}
		}
		if d.now().Sub(d.since) >= outboxPatience {
			d.tell(ctx, false)
		}
	case outcome == nil && !d.since.IsZero():
		d.tell(ctx, true)
		if len(d.begun) == 0 {
			d.since = time.Time{}
		}
	}
}

// tell tells of the outage's beginning or end on the channels that have not been told; those that fail are left for the next
// look.
func (d *databaseWatch) tell(ctx context.Context, over bool) {
	notices, err := d.notices(over)
	if err != nil {
		d.logger.Error("outage of Postgres not told", zap.Error(err))
		return
	}
	for _, notice := range notices {
		if d.begun[notice.channel] != over {
			continue
		}
		err := notice.send(ctx)
		if err != nil && fault.KindOf(err) != fault.KindPermanent {
			d.logger.Warn("outage of Postgres not told yet; it is tried again", zap.String("channel", notice.way), zap.Error(err))
			continue
		}
		d.logger.Warn("told of the outage of Postgres", zap.String("channel", notice.way), zap.Bool("over", over), zap.Error(err))
		if over {
			delete(d.begun, notice.channel)
		} else {
			d.begun[notice.channel] = true
		}
	}
}

func (d *databaseWatch) notices(over bool) ([]notice, error) {
	told, at := event.AlertFor(rollcallv1.Installation, event.AlertDatabaseUnavailable), d.since
	told.RaisedAt = d.since
	if over {
		told.Text, told.Remedy, at = "Postgres answers again, and work goes on.", "", d.now()
	}
	message, err := told.Message("database-"+strconv.FormatInt(d.since.Unix(), 10), over, at)
	if err != nil {
		return nil, err
	}
	alert := &rollcallv1.Alert{}
	if err := rollcallv1.Read(message.Payload, alert); err != nil {
		return nil, err
	}
	return d.told.onEachChannel(message.ID, alert)
}
