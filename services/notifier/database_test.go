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

func TestPeopleHearOfAnOutageOfPostgresWithoutPostgres(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h, office := mailed(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	told, err := open(h.settings)
	require.NoError(t, err) // it has no store at all
	told.mailer.roots = h.roots
	clock := testkit.NewClock(time.Date(2026, time.March, 2, 3, 0, 0, 0, time.UTC))
	watch := &databaseWatch{told: told, logger: h.log, now: clock.Now}
	away := fmt.Errorf("look at the outbox: %w", store.ErrUnavailable)

	watch.look(t.Context(), away)
	clock.Advance(outboxPatience - time.Second)
	watch.look(t.Context(), away)
	watch.look(t.Context(), nil) // a restart of Postgres is no alert
	watch.look(t.Context(), away)
	clock.Advance(outboxPatience - time.Second)
	watch.look(t.Context(), away)
	receiver.nothingMore()
	office.nothingMore()

	clock.Advance(time.Second)
	watch.look(t.Context(), away)
	posted := receiver.next()
	require.Equal(t, event.AlertDatabaseUnavailable, posted.body.Data["type"])
	require.Equal(t, rollcallv1.Installation, posted.body.Data["customerId"])
	require.Contains(t, office.next().text, "Postgres does not answer")
	watch.look(t.Context(), away)
	watch.look(t.Context(), errors.New("another fault"))
	receiver.nothingMore()
	office.nothingMore()

	office.close()
	watch.look(t.Context(), nil)
	require.Equal(t, "alert.cleared", receiver.next().body.Type)
	office.open()
	told.mailer.gate = gate{} // its pause is over
	watch.look(t.Context(), nil)
	require.Contains(t, office.next().text, "answers again")
	watch.look(t.Context(), nil)
	receiver.nothingMore()
	office.nothingMore()
}
