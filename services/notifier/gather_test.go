package main

import (
	"context"
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

// changedAddresses publishes so many email_changed of one customer, as one page of a poll does.
func (h *house) changedAddresses(count int) {
	h.t.Helper()
	require.NoError(h.t, h.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range count {
			alert := event.AlertFor("acme", event.AlertEmailChanged)
			alert.VomoID = strconv.Itoa(1000 + i)
			message, err := alert.Message(fmt.Sprintf("email-%d", i), false, h.now())
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

// all raises or clears an alert of so many customers.
func (h *house) all(kind string, count int, raise bool) {
	h.t.Helper()
	require.NoError(h.t, h.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range count {
			customer := fmt.Sprintf("customer-%04d", i)
			var err error
			if raise {
				err = event.Raise(ctx, tx, event.AlertFor(customer, kind))
			} else {
				err = event.Clear(ctx, tx, customer, kind, "A poll came to its end again.")
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// noneWaits waits until all that was gathered was sent.
func (h *house) noneWaits() {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		return value[int](h, `SELECT count(*) FROM alert_arrivals WHERE gathered AND summed_at IS NULL`) == 0
	}, within, 20*time.Millisecond)
}

// flooded is a house whose notifier mails and posts.
func flooded(t *testing.T) (*house, *postOffice, *receiver) {
	t.Helper()
	receiver := newReceiver(t)
	h, office := mailed(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	return h, office, receiver
}

// both waits for so many mails and posts, and no more; it returns the last ones.
func both(office *postOffice, receiver *receiver, count int) (mail received, posted post) {
	for range count {
		mail, posted = office.next(), receiver.next()
	}
	office.nothingMore()
	receiver.nothingMore()
	return mail, posted
}

func TestThreeHundredChangedAddressesAreAFewMessagesAndOneSummary(t *testing.T) { // testdata/log-in.md, 3
	t.Parallel()
	h, office, receiver := flooded(t)
	h.start()
	h.changedAddresses(300)
	h.settled(bus.StreamAlerts)
	both(office, receiver, 5)

	h.raise("acme", event.AlertBackfillFailed)
	other, _ := both(office, receiver, 1)
	require.Equal(t, "[rollcall] high: acme: backfill_failed", other.subject, "another type is sent at once")

	h.advance(floodBounds().Quiet)
	mail, posted := both(office, receiver, 1)
	require.Contains(t, mail.subject, "email_changed: 295 alerts of 1 customer")
	require.Contains(t, mail.text, "All of them: rollcall alerts ls --all")
	require.Regexp(t, `acme, user 1\d\d\d: `, mail.text)
	require.Contains(t, mail.html, "295 alerts")
	require.Equal(t, "alerts.raised", posted.body.Type)
	require.InDelta(t, 295, posted.body.Data["count"], 0)
	require.Len(t, posted.body.Data["examples"], summaryExamples)
	require.Contains(t, posted.body.Text, "rollcall alerts ls --all")
	require.Eventually(t, func() bool { // noted once the summary was sent
		return value[int](h, `SELECT count(*) FROM notifications WHERE message_id LIKE '%email-%' AND channel = 'webhook'`) == 300
	}, within, 20*time.Millisecond)

	h.advance(floodBounds().Recent)
	h.publish(bus.SubjectAlert("low", event.AlertEmailChanged, "acme"), "later",
		`{"customerId":"acme","type":"email_changed","severity":"low","text":"Another one."}`)
	mail, _ = both(office, receiver, 1)
	require.Contains(t, mail.text, "Another one.", "after the flood each is sent by itself again")
}

func TestAThousandStalledPollsAreSummarizedAndSoAreTheirEnds(t *testing.T) {
	t.Parallel()
	h, office, receiver := flooded(t)
	//nolint:dupword // columns of the same moment
	h.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, backfill_completed_at, active_since, updated_at)
		SELECT 'customer-' || i, 'https://crm.example', '{}', n, n, n, n FROM rollcall_now() n, generate_series(1, 1000) i`)
	h.start()
	h.advance(2 * time.Hour) // without a poll
	watching := &watch{store: h.Store, logger: h.log, bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 10)}
	require.NoError(t, watching.look(t.Context()))
	h.settled(bus.StreamAlerts)
	both(office, receiver, 5)
	h.advance(floodBounds().Quiet)
	mail, posted := both(office, receiver, 1)
	require.Equal(t, "[rollcall] high: poll_stalled: 995 alerts of 995 customers", mail.subject)
	require.Contains(t, mail.text, "All of them: rollcall alerts ls\n")
	require.Contains(t, mail.text, "rollcall poll now <customer> asks for one", "the remedy names no single customer")
	require.Equal(t, "<rollcall."+posted.header.Get("Webhook-Id")+"@partner.example>", mail.header.Get("Message-Id"))
	h.noneWaits()

	h.exec(`UPDATE sync_configs SET last_polled_at = rollcall_now() WHERE customer_id IN (SELECT 'customer-' || i FROM generate_series(1, 300) i)`)
	require.NoError(t, watching.look(t.Context()))
	h.settled(bus.StreamAlerts)
	both(office, receiver, 5)
	h.advance(floodBounds().Quiet)
	mail, posted = both(office, receiver, 1)
	require.Equal(t, "[rollcall] over: poll_stalled: 295 alerts of 295 customers", mail.subject)
	require.Equal(t, "alerts.cleared", posted.body.Type)
	h.noneWaits()
}

func TestGatheredAlertsOutliveACrashAndEachChannelHasTheSummaryOnce(t *testing.T) {
	t.Parallel()
	h, office, receiver := flooded(t)
	stop := h.start()
	h.all(event.AlertDestinationDown, 20, true)
	h.settled(bus.StreamAlerts)
	both(office, receiver, 5)
	stop() // between gathering and sending
	h.advance(floodBounds().Quiet)
	office.close() // and the mail server is away
	stop = h.start()
	first := receiver.next()
	require.InDelta(t, 15, first.body.Data["count"], 0)
	require.Eventually(t, func() bool { return h.outcome(first.header.Get("Webhook-Id"), channelWebhook) == "sent" }, within, 20*time.Millisecond)
	stop()
	office.open()
	h.advance(summaryAgain)
	h.start()
	require.Equal(t, "[rollcall] medium: destination_down: 15 alerts of 15 customers", office.next().subject)
	h.noneWaits()
	office.nothingMore()
	receiver.nothingMore()
}

func TestTheEndOfAGatheredAlertWaitsForItsBeginning(t *testing.T) {
	t.Parallel()
	receiver := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+receiver.URL)
	stop := h.start()
	h.all(event.AlertDestinationDown, 8, true)
	h.settled(bus.StreamAlerts)
	for range 5 {
		require.Equal(t, "alert.raised", receiver.next().body.Type)
	}
	waiting := value[string](h, `SELECT min(customer_id) FROM alert_arrivals WHERE gathered`)
	h.clear(waiting, event.AlertDestinationDown)
	h.settled(bus.StreamAlerts)
	receiver.nothingMore()
	stop()
	h.advance(floodBounds().Quiet)
	h.start()
	require.Equal(t, "alerts.raised", receiver.next().body.Type)
	require.Equal(t, "alerts.cleared", receiver.next().body.Type)
	receiver.nothingMore()
}

func TestAlertsThatNATSRefusesAreGatheredToo(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	h := newHouse(t, "ALERT_WEBHOOK_URL="+hook.URL)
	told, err := open(h.settings)
	require.NoError(t, err)
	told.teller = &teller{store: h.Store, logger: h.log, metrics: newMetrics(prometheus.NewRegistry())}
	watching := &direct{store: h.Store, told: told, logger: h.log}
	summing := &gatherer{told: told, logger: h.log}
	h.all(event.AlertDestinationDown, 100, true)
	for range 3 {
		_, err := h.RelayOutbox(t.Context(), refusing{})
		require.NoError(t, err)
		h.advance(outboxPatience)
	}
	require.Eventually(t, func() bool {
		_, err := h.RelayOutbox(t.Context(), refusing{})
		require.NoError(t, err)
		return value[int](h, `SELECT count(*) FROM outbox WHERE refused_since IS NOT NULL`) >= 100
	}, within, 20*time.Millisecond)
	require.NoError(t, watching.look(t.Context()))
	require.NoError(t, summing.look(t.Context()))
	for range 5 {
		require.Equal(t, "alert.raised", hook.next().body.Type)
	}
	hook.nothingMore()
	h.advance(floodBounds().Quiet)
	require.NoError(t, summing.look(t.Context()))
	summary := hook.next()
	require.Equal(t, "alerts.raised", summary.body.Type)
	require.InDelta(t, 95, summary.body.Data["count"], 0)
	h.start() // the stream brings all of them: nothing is sent twice
	require.Eventually(t, func() bool { return value[int](h, `SELECT count(*) FROM outbox`) == 0 }, within, 20*time.Millisecond)
	h.settled(bus.StreamAlerts)
	require.Equal(t, 100, value[int](h, `SELECT count(*) FROM notifications n JOIN alert_arrivals a USING (message_id)
		WHERE NOT a.cleared AND a.type = 'destination_down'`))
	require.Equal(t, 6, hook.posts(event.AlertDestinationDown))
}
