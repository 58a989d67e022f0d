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

// publishFact publishes an event as a service does.
func (f *fixture) publishFact(name, customer, id string, data proto.Message) {
	f.t.Helper()
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) error {
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

func (f *fixture) now() time.Time {
	f.t.Helper()
	now, err := f.Now(f.t.Context())
	require.NoError(f.t, err)
	return now
}

func TestScheduledBackfillMailUsesCustomersTimeZone(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.exec(`UPDATE sync_configs SET quiet_hours = '{"from":"08:00","to":"18:00","zone":"America/Chicago"}' WHERE customer_id = 'acme'`)
	f.start()
	chicago, err := time.LoadLocation("America/Chicago")
	require.NoError(t, err)
	start := f.now().Add(3 * time.Hour)
	f.publishFact(event.OnboardingCompleted, "acme", "onboarding.completed-1", &rollcallv1.OnboardingCompleted{
		CustomerId: "acme", OnboardedAt: timestamppb.New(f.now()), BackfillQueued: true, UsersTotal: 12000, EstimatedBackfillSeconds: 8040,
		EstimatedStartAt: timestamppb.New(start), EstimatedCompletionAt: timestamppb.New(start.Add(134 * time.Minute)), WaitingFor: "quiet_hours",
	})
	mail := server.next()
	begins := start.In(chicago).Format("Mon 2 Jan 2006, 15:04 MST")
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: the first synchronisation begins "+begins, mail.subject)
	require.Contains(t, mail.text, "People:   12,000\nBegins:   "+begins+"\nTakes:    about 2 hours 14 minutes\nEnds:     about "+
		start.Add(134*time.Minute).In(chicago).Format("Mon 2 Jan 2006, 15:04 MST"))
	require.Contains(t, mail.text, "quiet hours")
	require.Contains(t, mail.html, begins)
	f.awaitHandled(bus.StreamEvents)
	require.Equal(t, "sent", f.notificationOutcome("onboarding.completed-1", channelCustomer))
}

func TestMailAboutGivingNamesTheMorningImportBesideTheMailAboutTheBackfill(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.exec(`INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		imports_url, organization_id, organization_name, time_zone, culture, updated_at)
		SELECT 'acme', true, n, 'designations', '{}', 72, 24, 'https://app.virtuous.example/imports?a=1&b=2', '7', 'Example Relief',
			'UTC', '', n FROM rollcall_now() n`)
	f.start()
	done := &rollcallv1.OnboardingCompleted{
		CustomerId: "acme", OnboardedAt: timestamppb.New(f.now()), BackfillQueued: true, UsersTotal: 12, Virtuous: true, VirtuousSetUp: true,
		VirtuousOrganizationName: "Example Relief",
	}
	f.publishFact(event.OnboardingCompleted, "acme", "onboarding.completed-1", done)
	mails := map[string]received{}
	for range 2 {
		mail := server.next()
		mails[mail.subject] = mail
	}
	require.Contains(t, mails, "acme: the first synchronisation begins now")
	mail := mails["acme: donations go into Virtuous from now on"]
	require.Equal(t, adminOfAcme, mail.to)
	require.Contains(t, mail.text, `"Example Relief"`)
	require.Contains(t, mail.text, "1. Open the page with the imports: https://app.virtuous.example/imports?a=1&b=2\n")
	require.Contains(t, mail.text, "after 72 hours")
	require.Contains(t, mail.html, `href="https://app.virtuous.example/imports?a=1&amp;b=2"`)
	f.awaitHandled(bus.StreamEvents)
	require.Equal(t, 2, queryValue[int](f, `SELECT count(*)::int FROM notifications WHERE message_id = 'onboarding.completed-1' AND outcome = 'sent'`))

	f.exec(`UPDATE virtuous_configs SET imports_url = NULL`)
	done.BackfillQueued = false
	f.publishFact(event.OnboardingCompleted, "acme", "onboarding.completed-2", done)
	mail = server.next()
	require.Contains(t, mail.text, "1. Open the page with the imports.\n")
	require.NotContains(t, mail.html, "<a href")
	done.VirtuousSetUp = false // a new key
	f.publishFact(event.OnboardingCompleted, "acme", "onboarding.completed-3", done)
	f.awaitHandled(bus.StreamEvents)
	server.requireNoMore()
}

func TestAdminIsAskedOnceForANewKeyOfVirtuous(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.start()
	f.raise("acme", event.AlertVirtuousAuthFailed)
	f.raise("acme", event.AlertVirtuousAuthFailed)
	require.Equal(t, "[rollcall] high: acme: virtuous_auth_failed", server.next().subject)
	f.advance(tokenMailDelay)
	mail := server.next()
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: Virtuous rejects the API key", mail.subject)
	require.Contains(t, mail.text, "None is lost")
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
}

func TestCompletedBackfillMailNamesUsersAndFailures(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.start()
	done := &rollcallv1.BackfillCompleted{CustomerId: "acme", RunId: 9, ProcessedCount: 1204, FailureCount: 3, CompletedAt: timestamppb.New(f.now())}
	f.publishFact(event.BackfillCompleted, "acme", "backfill.completed-9", done)
	mail := server.next()
	require.Equal(t, "acme: synchronisation complete, 1,204 users", mail.subject)
	require.Contains(t, mail.text, "3 users could not be written")
	require.Contains(t, mail.text, "one of our operators looks into it")
	require.Contains(t, mail.text, "UTC")
	done.FailureCount = 0
	f.publishFact(event.BackfillCompleted, "acme", "backfill.completed-10", done)
	require.NotContains(t, server.next().text, "could not")
	done.FullResync = true
	f.publishFact(event.BackfillCompleted, "acme", "backfill.completed-11", done)
	f.awaitHandled(bus.StreamEvents)
	server.requireNoMore()
}

func TestMissingRecipientIsNotedWithReason(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	for i, change := range []string{`admin_email = NULL`, `enabled = false, offboarded_at = now()`} {
		id := fmt.Sprintf("customer-%d", i)
		f.addCustomer(id)
		f.exec(`UPDATE sync_configs SET ` + change + ` WHERE customer_id = '` + id + `'`)
		f.publishFact(event.BackfillCompleted, id, "backfill.completed-"+id, &rollcallv1.BackfillCompleted{CustomerId: id, CompletedAt: timestamppb.New(f.now())})
	}
	f.publishFact(event.BackfillCompleted, "globex", "backfill.completed-globex", &rollcallv1.BackfillCompleted{CustomerId: "globex"})
	f.publishFact(event.OnboardingCompleted, "customer-0", "onboarding.completed-1", &rollcallv1.OnboardingCompleted{CustomerId: "customer-0"})
	f.start()
	f.awaitHandled(bus.StreamEvents)
	server.requireNoMore()
	require.Equal(t, "skipped no_admin_email", f.notificationOutcome("backfill.completed-customer-0", channelCustomer))
	require.Equal(t, "skipped offboarded", f.notificationOutcome("backfill.completed-customer-1", channelCustomer))
	require.Equal(t, "skipped unknown_customer", f.notificationOutcome("backfill.completed-globex", channelCustomer))
	require.Equal(t, "none", f.notificationOutcome("onboarding.completed-1", channelCustomer), "no backfill was queued")
}

func TestTokenMailIsSkippedIfNewTokenCameDuringMailOutage(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	server.close()
	f.start()
	f.raise("acme", event.AlertAuthFailed)
	require.Eventually(t, func() bool {
		consumer, err := f.js.Consumer(t.Context(), bus.StreamAlerts, bus.DurableNotifier)
		require.NoError(t, err)
		info, err := consumer.Info(t.Context())
		require.NoError(t, err)
		return info.NumAckPending == 1
	}, timeout, 10*time.Millisecond)
	f.clear("acme", event.AlertAuthFailed)
	require.Eventually(t, func() bool { return f.notificationOutcome("alert-1", channelCustomer) == "skipped over" }, timeout, 20*time.Millisecond)
	server.open()
	const cleared = "[rollcall] cleared: acme: auth_failed"
	if first := server.next(); first.subject != cleared { // if "cleared" was tried first, "raised" is skipped
		require.Equal(t, "[rollcall] high: acme: auth_failed", first.subject)
		require.Equal(t, cleared, server.next().subject)
	}
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
}

func TestTokenMailWaitsAMinuteAlsoAcrossRestart(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.addCustomer("globex")
	stop := f.start()
	f.raise("acme", event.AlertAuthFailed)
	require.Equal(t, "[rollcall] high: acme: auth_failed", server.next().subject, "operators are notified at once")
	f.raise("globex", event.AlertAuthFailed)
	require.Equal(t, "[rollcall] high: globex: auth_failed", server.next().subject)
	f.advance(tokenMailDelay - 20*time.Second)
	stop()
	f.start()
	f.clear("globex", event.AlertAuthFailed) // it was VOMO's fault
	require.Equal(t, "[rollcall] cleared: globex: auth_failed", server.next().subject)
	require.Equal(t, "none", f.notificationOutcome("alert-1", channelCustomer), "not yet")
	f.advance(20 * time.Second)
	mail := server.next()
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: VOMO rejects the API token", mail.subject)
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
	require.Equal(t, "skipped over", f.notificationOutcome("alert-2", channelCustomer))
}

func TestTokenMailIsSkippedIfNewTokenCameWhileNotifierWasDown(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.addCustomer("acme")
	f.raise("acme", event.AlertAuthFailed)
	f.clear("acme", event.AlertAuthFailed)
	f.start()
	require.Equal(t, "[rollcall] high: acme: auth_failed", server.next().subject)
	require.Equal(t, "[rollcall] cleared: acme: auth_failed", server.next().subject, "in this order, although both were waiting")
	f.awaitHandled(bus.StreamAlerts)
	server.requireNoMore()
	require.Equal(t, "skipped over", f.notificationOutcome("alert-1", channelCustomer))
}
