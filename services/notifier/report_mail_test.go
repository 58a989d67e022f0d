package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// give gives a customer giving.
func (f *fixture) give(customer string) {
	f.t.Helper()
	f.addCustomer(customer)
	f.exec(`INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		imports_url, organization_id, organization_name, time_zone, culture, updated_at)
		SELECT $1, true, n, 'designations', '{}', 72, 24, 'https://app.virtuous.example/imports', '7', 'Example Relief', 'UTC', '', n
		FROM rollcall_now() n`, customer)
}

// donate adds donations of a customer in a state.
func (f *fixture) donate(customer, status string, number int) {
	f.t.Helper()
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		created_at, status_at, updated_at, submitted_at, next_lookup_at, review_reason)
		SELECT $1, $2 || n, $2, 'Give', '', '', '', at, at, at, at, 'infinity', CASE $2 WHEN 'needs_review' THEN 'match_needed' END
		FROM generate_series(1, $3::integer) n, rollcall_now() at`, customer, status, number)
}

// report stores a customer's report, and publishes that as the reconciler does. It returns the message's id.
func (f *fixture) report(customer string) (id string) {
	f.t.Helper()
	var made dailyreport.Report
	require.NoError(f.t, f.InTx(f.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		made, err = dailyreport.Reporter{Limits: dailyreport.DefaultLimits(), Floors: dailyreport.DefaultFloors()}.MakeAndStore(ctx, tx, customer)
		return err
	}))
	id = fmt.Sprintf("%s-%s-%s", event.ReportStored, customer, made.Date)
	f.publishFact(event.ReportStored, customer, id, &rollcallv1.ReportStored{
		CustomerId: customer, Date: made.Date, State: made.State, ReviewCount: event.Count(made.WaitingForReview()), MadeAt: timestamppb.New(made.MadeAt),
	})
	return id
}

func TestDailyMailAboutGivingHasEachFigureWithItsStateAndRemedy(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.give("acme")
	f.donate("acme", "needs_review", 6)
	f.donate("acme", "failed", 12)
	f.start()
	id := f.report("acme")

	mail := server.next()
	day := f.now().UTC().Format("2006-01-02")
	require.Equal(t, adminOfAcme, mail.to)
	require.Equal(t, "acme: donations on "+day+": 6 records to be reviewed", mail.subject)
	for _, part := range []string{
		"Waiting to be sent to Virtuous: 0\n  ok (healthy: none older than 2 h)\n\n",
		"Accepted by Virtuous more than 24 hours ago, and no gift yet: 0\n  ok (healthy: 0)\n\n",
		"In need of a review: 6 (import not run: 0, match needed: 6)\n  look (healthy: up to 5)\n  What to do: Run the imports that wait in Virtuous, and find",
		"Rejected by Virtuous: 12\n  act (healthy: 0)\n  What to do: You need not do anything: the people who run this integration",
		"Gifts and contacts that differ on both sides: 0\n  ok (healthy: up to 5)\n\n",
		"Time until a donation is a gift: none in the last days\n  ok (healthy: median up to 36 h)\n\n",
		"Donations whose webhook was lost: none in the last days\n  ok (healthy: up to 1 %)\n\n",
		"New differences between contacts: 0\n  ok (healthy: up to 5)\n",
		"The imports in Virtuous: https://app.virtuous.example/imports\n",
	} {
		require.Contains(t, mail.text, part)
	}
	require.Contains(t, mail.html, `href="https://app.virtuous.example/imports"`)
	require.Contains(t, mail.html, "What to do: Run the imports")
	f.awaitHandled(bus.StreamEvents)
	require.Equal(t, "sent", f.notificationOutcome(id, channelCustomer))
}

func TestDailyMailAboutGivingIsSentOnceADayAndOnlyIfSomethingWaits(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	f.give("acme")
	f.give("quiet")
	f.donate("acme", "needs_review", 1)
	f.start()
	quiet := f.report("quiet")
	id := f.report("acme")
	require.Contains(t, server.next().subject, "1 record to be reviewed", "every figure is ok, and a record waits")
	f.awaitHandled(bus.StreamEvents)
	f.publish(bus.SubjectEvent(event.ReportStored, "acme"), id+"-again", `{"customerId":"acme","date":"1999-12-31","state":"act"}`) // of a report that is gone
	f.awaitHandled(bus.StreamEvents)
	server.requireNoMore()
	require.Equal(t, "none", f.notificationOutcome(quiet, channelCustomer))
}
