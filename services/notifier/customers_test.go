package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// tell tells a fact as a service does.
func (h *house) tell(name, customer, id string, data proto.Message) {
	h.t.Helper()
	require.NoError(h.t, h.InTx(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		message, err := event.Fact{Name: name, Customer: customer, ID: id, At: now, Data: data}.Message()
		if err != nil {
			return err
		}
		return tx.Publish(ctx, message)
	}))
}

func (h *house) now() time.Time {
	h.t.Helper()
	now, err := h.Now(h.t.Context())
	require.NoError(h.t, err)
	return now
}

func TestACustomerIsToldWhenTheBackfillRunsByTheClockOnItsWall(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"America/Chicago"}' WHERE customer_id = 'acme'`)
	h.start()
	chicago, err := time.LoadLocation("America/Chicago")
	require.NoError(t, err)
	start := h.now().Add(3 * time.Hour)
	h.tell(event.OnboardingCompleted, "acme", "onboarding.completed-1", &rollcallv1.OnboardingCompleted{
		CustomerId: "acme", OnboardedAt: timestamppb.New(h.now()), BackfillQueued: true, UsersTotal: 12000, EstimatedBackfillSeconds: 8040,
		EstimatedStartAt: timestamppb.New(start), EstimatedCompletionAt: timestamppb.New(start.Add(134 * time.Minute)), WaitingFor: "quiet_hours",
	})
	mail := office.next()
	begins := start.In(chicago).Format("Mon 2 Jan 2006, 15:04 MST")
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: the first synchronisation begins "+begins, mail.subject)
	require.Contains(t, mail.text, "People:   12,000\nBegins:   "+begins+"\nTakes:    about 2 hours 14 minutes\nEnds:     about "+
		start.Add(134*time.Minute).In(chicago).Format("Mon 2 Jan 2006, 15:04 MST"))
	require.Contains(t, mail.text, "quiet hours")
	require.Contains(t, mail.html, begins)
	h.settled(bus.StreamEvents)
	require.Equal(t, "sent", h.outcome("onboarding.completed-1", channelCustomer))
}

func TestACustomerIsToldOfACompleteBackfillAndThatSomebodyLooksAtTheRest(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.start()
	done := &rollcallv1.BackfillCompleted{CustomerId: "acme", RunId: 9, ProcessedCount: 1204, FailureCount: 3, CompletedAt: timestamppb.New(h.now())}
	h.tell(event.BackfillCompleted, "acme", "backfill.completed-9", done)
	mail := office.next()
	require.Equal(t, "acme: synchronisation complete, 1,204 users", mail.subject)
	require.Contains(t, mail.text, "3 users could not be written")
	require.Contains(t, mail.text, "looked at by somebody")
	require.Contains(t, mail.text, "UTC")
	done.FailureCount = 0
	h.tell(event.BackfillCompleted, "acme", "backfill.completed-10", done)
	require.NotContains(t, office.next().text, "could not")
	done.FullResync = true
	h.tell(event.BackfillCompleted, "acme", "backfill.completed-11", done)
	h.settled(bus.StreamEvents)
	office.nothingMore()
}

func TestWhereThereIsNobodyToMailItIsNotedWhy(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	for i, change := range []string{`admin_email = NULL`, `enabled = false, offboarded_at = now()`} {
		id := fmt.Sprintf("customer-%d", i)
		h.customer(id)
		h.exec(`UPDATE sync_configs SET ` + change + ` WHERE customer_id = '` + id + `'`)
		h.tell(event.BackfillCompleted, id, "backfill.completed-"+id, &rollcallv1.BackfillCompleted{CustomerId: id, CompletedAt: timestamppb.New(h.now())})
	}
	h.tell(event.BackfillCompleted, "globex", "backfill.completed-globex", &rollcallv1.BackfillCompleted{CustomerId: "globex"})
	h.tell(event.OnboardingCompleted, "customer-0", "onboarding.completed-1", &rollcallv1.OnboardingCompleted{CustomerId: "customer-0"})
	h.start()
	h.settled(bus.StreamEvents)
	office.nothingMore()
	require.Equal(t, "skipped no_admin_email", h.outcome("backfill.completed-customer-0", channelCustomer))
	require.Equal(t, "skipped offboarded", h.outcome("backfill.completed-customer-1", channelCustomer))
	require.Equal(t, "skipped unknown_customer", h.outcome("backfill.completed-globex", channelCustomer))
	require.Equal(t, "none", h.outcome("onboarding.completed-1", channelCustomer), "no backfill was queued")
}

func TestAnAdminWhoHasGivenANewTokenMeanwhileIsNotAskedForOne(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	office.close()
	h.start()
	h.raise("acme", event.AlertAuthFailed)
	require.Eventually(t, func() bool {
		consumer, err := h.js.Consumer(t.Context(), bus.StreamAlerts, bus.DurableNotifier)
		require.NoError(t, err)
		info, err := consumer.Info(t.Context())
		require.NoError(t, err)
		return info.NumAckPending == 1
	}, within, 10*time.Millisecond)
	h.clear("acme", event.AlertAuthFailed)
	require.Eventually(t, func() bool { return h.outcome("alert-1", channelCustomer) == "skipped over" }, within, 20*time.Millisecond)
	office.open()
	const over = "[rollcall] over: acme: auth_failed"
	if first := office.next(); first.subject != over { // where the end was tried first, it is enough
		require.Equal(t, "[rollcall] high: acme: auth_failed", first.subject)
		require.Equal(t, over, office.next().subject)
	}
	h.settled(bus.StreamAlerts)
	office.nothingMore()
}

func TestTheMailToACustomerWaitsAMinuteAlsoOverARestart(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.customer("globex")
	stop := h.start()
	h.raise("acme", event.AlertAuthFailed)
	require.Equal(t, "[rollcall] high: acme: auth_failed", office.next().subject, "operators hear of it at once")
	h.raise("globex", event.AlertAuthFailed)
	require.Equal(t, "[rollcall] high: globex: auth_failed", office.next().subject)
	h.advance(mailAfter - 20*time.Second)
	stop()
	h.start()
	h.clear("globex", event.AlertAuthFailed) // VOMO's fault, as it turns out
	require.Equal(t, "[rollcall] over: globex: auth_failed", office.next().subject)
	require.Equal(t, "none", h.outcome("alert-1", channelCustomer), "not yet")
	h.advance(20 * time.Second)
	mail := office.next()
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: VOMO refuses the API token", mail.subject)
	h.settled(bus.StreamAlerts)
	office.nothingMore()
	require.Equal(t, "skipped over", h.outcome("alert-2", channelCustomer))
}

func TestAnAdminIsNotAskedForATokenThatHasComeWhileTheNotifierWasAway(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	h.customer("acme")
	h.raise("acme", event.AlertAuthFailed)
	h.clear("acme", event.AlertAuthFailed)
	h.start()
	require.Equal(t, "[rollcall] high: acme: auth_failed", office.next().subject)
	require.Equal(t, "[rollcall] over: acme: auth_failed", office.next().subject, "in this order, though both had piled up")
	h.settled(bus.StreamAlerts)
	office.nothingMore()
	require.Equal(t, "skipped over", h.outcome("alert-1", channelCustomer))
}
