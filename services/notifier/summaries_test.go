package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// changedAddresses publishes count email_changed alerts of one customer, as one page of a poll does.
func (f *fixture) changedAddresses(count int) {
	f.t.Helper()
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range count {
			alert := event.AlertFor("acme", event.AlertEmailChanged)
			alert.VomoID = strconv.Itoa(1000 + i)
			message, err := alert.Message(fmt.Sprintf("email-%d", i), false, f.now())
			if err != nil {
				return err
			}
			if err := tx.Publish(ctx, message); err != nil {
				return err
			}
		}
		return nil
	}))
}

// setAlerts raises or clears an alert of count customers.
func (f *fixture) setAlerts(kind string, count int, raise bool) {
	f.t.Helper()
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range count {
			customer := fmt.Sprintf("customer-%04d", i)
			var err error
			if raise {
				err = event.Raise(ctx, tx, event.AlertFor(customer, kind))
			} else {
				err = event.Clear(ctx, tx, customer, kind, "A poll has completed.")
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// awaitSummaries waits until all summaries were sent.
func (f *fixture) awaitSummaries() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return queryValue[int](f, `SELECT count(*) FROM alert_arrivals WHERE gathered AND summed_at IS NULL`) == 0
	}, timeout, 20*time.Millisecond)
}

// newFloodFixture returns a fixture whose notifier mails and posts.
func newFloodFixture(t *testing.T) (*fixture, *mailServer, *receiver) {
	t.Helper()
	receiver := newReceiver(t)
	f, server := newMailFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	return f, server, receiver
}

// requireBoth requires exactly count mails and count posts, and returns the last ones.
func requireBoth(server *mailServer, receiver *receiver, count int) (mail received, posted post) {
	for range count {
		mail, posted = server.next(), receiver.next()
	}
	server.requireNoMore()
	receiver.requireNoMore()
	return mail, posted
}

func TestThreeHundredChangedAddressesAreFiveNoticesAndOneSummary(t *testing.T) { // testdata/log-in.md, 3
	t.Parallel()
	f, server, receiver := newFloodFixture(t)
	f.start()
	f.changedAddresses(300)
	f.awaitHandled(bus.StreamAlerts)
	requireBoth(server, receiver, 5)

	f.raise("acme", event.AlertBackfillFailed)
	other, _ := requireBoth(server, receiver, 1)
	require.Equal(t, "[rollcall] high: acme: backfill_failed", other.subject, "an alert of another type is sent at once")

	f.advance(floodLimits().Quiet)
	mail, posted := requireBoth(server, receiver, 1)
	require.Contains(t, mail.subject, "email_changed: 295 alerts of 1 customer")
	require.Contains(t, mail.text, "All of them: rollcall alerts ls --all")
	require.Regexp(t, `acme, user 1\d\d\d: `, mail.text)
	require.Contains(t, mail.html, "295 alerts")
	require.Equal(t, "alerts.raised", posted.body.Type)
	require.InDelta(t, 295, posted.body.Data["count"], 0)
	require.Len(t, posted.body.Data["examples"], summaryExamples)
	require.Contains(t, posted.body.Text, "rollcall alerts ls --all")
	require.Eventually(t, func() bool { // the notes follow after the summary was sent
		return queryValue[int](f, `SELECT count(*) FROM notifications WHERE message_id LIKE '%email-%' AND channel = 'webhook'`) == 300
	}, timeout, 20*time.Millisecond)

	f.advance(floodLimits().Recent)
	f.publish(bus.SubjectAlert("low", event.AlertEmailChanged, "acme"), "later",
		`{"customerId":"acme","type":"email_changed","severity":"low","text":"Another one."}`)
	mail, _ = requireBoth(server, receiver, 1)
	require.Contains(t, mail.text, "Another one.", "after the flood, alerts are sent one by one again")
}

// stalledPolls is how many customers' polls stall at once.
var stalledPolls = flag.Int("stalled-polls", 150, "customers whose polls stall at once")

func TestManyStalledPollsAreSummarizedWhenRaisedAndWhenCleared(t *testing.T) {
	t.Parallel()
	f, server, receiver := newFloodFixture(t)
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, backfill_completed_at, active_since, updated_at)
		SELECT 'customer-' || i, 'https://crm.example', '{}', n, n, n, n FROM rollcall_now() n, generate_series(1, $1) i`, *stalledPolls)
	f.start()
	f.advance(2 * time.Hour) // without a poll
	watching := &conditionWatch{store: f.Store, logger: f.logger, bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 10, 4*time.Hour)}
	require.NoError(t, watching.check(t.Context()))
	f.awaitHandled(bus.StreamAlerts)
	requireBoth(server, receiver, 5)
	f.advance(floodLimits().Quiet)
	mail, posted := requireBoth(server, receiver, 1)
	require.Equal(t, fmt.Sprintf("[rollcall] high: poll_stalled: %[1]d alerts of %[1]d customers", *stalledPolls-5), mail.subject)
	require.Contains(t, mail.text, "All of them: rollcall alerts ls\n")
	require.Contains(t, mail.text, "rollcall poll now <customer>", "the remedy keeps the placeholder")
	require.Equal(t, "<rollcall."+posted.header.Get("Webhook-Id")+"@partner.example>", mail.header.Get("Message-Id"))
	f.awaitSummaries()

	f.exec(`UPDATE sync_configs SET last_polled_at = rollcall_now() WHERE customer_id IN (SELECT 'customer-' || i FROM generate_series(1, $1) i)`, *stalledPolls/2)
	require.NoError(t, watching.check(t.Context()))
	f.awaitHandled(bus.StreamAlerts)
	requireBoth(server, receiver, 5)
	f.advance(floodLimits().Quiet)
	mail, posted = requireBoth(server, receiver, 1)
	require.Equal(t, fmt.Sprintf("[rollcall] cleared: poll_stalled: %[1]d alerts of %[1]d customers", *stalledPolls/2-5), mail.subject)
	require.Equal(t, "alerts.cleared", posted.body.Type)
	f.awaitSummaries()
}

func TestSummarySurvivesCrashAndIsSentOnceOnEachChannel(t *testing.T) {
	t.Parallel()
	f, server, receiver := newFloodFixture(t)
	stop := f.start()
	f.setAlerts(event.AlertDestinationDown, 20, true)
	f.awaitHandled(bus.StreamAlerts)
	requireBoth(server, receiver, 5)
	stop() // before the summary is sent
	f.advance(floodLimits().Quiet)
	server.close() // the mail server is down, too
	stop = f.start()
	first := receiver.next()
	require.InDelta(t, 15, first.body.Data["count"], 0)
	require.Eventually(t, func() bool { return f.notificationOutcome(first.header.Get("Webhook-Id"), channelWebhook) == "sent" }, timeout, 20*time.Millisecond)
	stop()
	server.open()
	f.advance(summaryClaim)
	f.start()
	require.Equal(t, "[rollcall] medium: destination_down: 15 alerts of 15 customers", server.next().subject)
	f.awaitSummaries()
	server.requireNoMore()
	receiver.requireNoMore()
}

func TestClearedSummaryWaitsForRaisedSummary(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	stop := f.start()
	f.setAlerts(event.AlertDestinationDown, 8, true)
	f.awaitHandled(bus.StreamAlerts)
	for range 5 {
		require.Equal(t, "alert.raised", receiver.next().body.Type)
	}
	waiting := queryValue[string](f, `SELECT min(customer_id) FROM alert_arrivals WHERE gathered`)
	f.clear(waiting, event.AlertDestinationDown)
	f.awaitHandled(bus.StreamAlerts)
	receiver.requireNoMore()
	stop()
	f.advance(floodLimits().Quiet)
	f.start()
	require.Equal(t, "alerts.raised", receiver.next().body.Type)
	require.Equal(t, "alerts.cleared", receiver.next().body.Type)
	receiver.requireNoMore()
}

func TestAlertsThatNATSRejectsAreSummarized(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	f := newFixture(t, "ALERT_WEBHOOK_URL="+hook.URL)
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	n.sender = &sender{store: f.Store, logger: f.logger, metrics: newMetrics(prometheus.NewRegistry())}
	watching := &outboxWatch{store: f.Store, notifier: n, logger: f.logger}
	summing := &summarySender{notifier: n, logger: f.logger}
	f.setAlerts(event.AlertDestinationDown, 100, true)
	for range 3 {
		_, err := f.RelayOutbox(t.Context(), rejectingBus{})
		require.NoError(t, err)
		f.advance(outboxStalledAfter)
	}
	require.Eventually(t, func() bool {
		_, err := f.RelayOutbox(t.Context(), rejectingBus{})
		require.NoError(t, err)
		return queryValue[int](f, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) >= 100
	}, timeout, 20*time.Millisecond)
	require.NoError(t, watching.check(t.Context()))
	require.NoError(t, summing.sendDue(t.Context()))
	for range 5 {
		require.Equal(t, "alert.raised", hook.next().body.Type)
	}
	hook.requireNoMore()
	f.advance(floodLimits().Quiet)
	require.NoError(t, summing.sendDue(t.Context()))
	summary := hook.next()
	require.Equal(t, "alerts.raised", summary.body.Type)
	require.InDelta(t, 95, summary.body.Data["count"], 0)
	f.start() // the stream delivers all of them: nothing is sent twice
	require.Eventually(t, func() bool { return queryValue[int](f, `SELECT count(*) FROM outbox`) == 0 }, timeout, 20*time.Millisecond)
	f.awaitHandled(bus.StreamAlerts)
	require.Equal(t, 100, queryValue[int](f, `SELECT count(*) FROM notifications n JOIN alert_arrivals a USING (message_id)
		WHERE NOT a.cleared AND a.type = 'destination_down'`))
	require.Equal(t, 6, hook.countPosts(event.AlertDestinationDown))
}
