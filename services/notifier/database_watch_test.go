package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestPostgresOutageIsNotifiedWithoutPostgres(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f, server := newMailFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	n, err := newNotifier(f.settings)
	require.NoError(t, err) // the notifier has no store
	n.mailer.roots = f.roots
	clock := testkit.NewClock(time.Date(2026, time.March, 2, 3, 0, 0, 0, time.UTC))
	watch := &databaseWatch{notifier: n, logger: f.logger, now: clock.Now}
	away := fmt.Errorf("look at the outbox: %w", store.ErrUnavailable)

	watch.check(t.Context(), away)
	clock.Advance(outboxStalledAfter - time.Second)
	watch.check(t.Context(), away)
	watch.check(t.Context(), nil) // a short restart of Postgres raises no alert
	watch.check(t.Context(), away)
	clock.Advance(outboxStalledAfter - time.Second)
	watch.check(t.Context(), away)
	receiver.requireNoMore()
	server.requireNoMore()

	clock.Advance(time.Second)
	watch.check(t.Context(), away)
	posted := receiver.next()
	require.Equal(t, event.AlertDatabaseUnavailable, posted.body.Data["type"])
	require.Equal(t, rollcallv1.Installation, posted.body.Data["customerId"])
	require.Contains(t, server.next().text, "Postgres does not answer")
	watch.check(t.Context(), away)
	watch.check(t.Context(), errors.New("another fault"))
	receiver.requireNoMore()
	server.requireNoMore()

	server.close()
	watch.check(t.Context(), nil)
	require.Equal(t, "alert.cleared", receiver.next().body.Type)
	server.open()
	n.mailer.gate = gate{} // open the gate
	watch.check(t.Context(), nil)
	require.Contains(t, server.next().text, "available again")
	watch.check(t.Context(), nil)
	receiver.requireNoMore()
	server.requireNoMore()
}
