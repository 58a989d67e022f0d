package dev

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/testkit"
)

// newGivingDemo returns a demonstration on the services of giving, the sandbox, a NATS server and a database.
func newGivingDemo(t *testing.T, shown *testScreen) (d *givingDemo, reports *[]dailyreport.Report) {
	t.Helper()
	database, server := testkit.Database(t), testkit.NATS(t)
	conn := server.Conn(t)
	streams, err := jetstream.New(conn)
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(t.Context(), streams, 1, 30*time.Second))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	webhooks, standIn := testkit.FreeAddr(t), testkit.FreeAddr(t)
	testkit.Program(t, "rollcall.dev/services/sandbox", testkit.ProgramConfig{
		Args: []string{"--virtuous", demoOrg}, Env: map[string]string{"HTTP_ADDR": standIn},
	})
	testkit.WaitReady(t, "http://"+standIn+"/readyz")
	ours := own{databaseURL: database, natsURL: server.URL, sandbox: "http://" + standIn, keyFile: filepath.Join(t.TempDir(), "secrets.key"), webhooks: webhooks}
	for _, name := range []string{"onboarding", "donations", "webhooks", "reconciler"} {
		env := ours.settings()
		env["HTTP_ADDR"], env["GIVING_RECONCILE_EVERY"] = testkit.FreeAddr(t), "168h"
		for name, value := range env {
			if value == "" {
				delete(env, name)
			}
		}
		testkit.Program(t, "rollcall.dev/services/"+name, testkit.ProgramConfig{Env: env})
		testkit.WaitReady(t, "http://"+env["HTTP_ADDR"]+"/readyz")
	}
	reports = &[]dailyreport.Report{}
	return &givingDemo{
		screen: newScreen(shown, &testScreen{}, true), conn: conn, sandbox: &sandbox{address: "http://" + standIn, client: client}, folder: "/data",
		setClock: func(ctx context.Context, ahead time.Duration) error {
			return localserver.SetClock(ctx, database, ahead)
		},
		printReport: func(made dailyreport.Report) error {
			*reports = append(*reports, made)
			return nil
		},
	}, reports
}

func TestGivingDemonstrationFollowsDonationsForFourDays(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	d, reports := newGivingDemo(t, shown)

	require.NoError(t, d.run(t.Context()))

	require.Regexp(t, `^ 1\. demo is onboarded: its key is that of "Example Relief \(Sandbox\)", and Virtuous has a subscription for our webhooks
 2\. 20 donations are published on rollcall\.donations\.submit\.demo: Virtuous accepts all of them, and holds them until midnight
 3\. midnight passes on the clocks of the sandbox and of the services: Virtuous makes an import of 20 transactions, which waits for staff
 4\. staff run the import: 18 transactions become gifts, and webhooks confirm their donations; don-\d\d and don-\d\d need an update
 5\. staff find the donor of don-\d\d, so it is a gift, too: but its webhook is lost, and the donation stays submitted
 6\. a day later the reconciliation looks for the gifts of late donations: don-\d\d is confirmed \(reconciliation_lookup\)
 7\. after three days without a gift, don-\d\d needs a person's review \(match_needed\)
 8\. staff find its donor at last: the webhook of its gift confirms don-\d\d, late as it is

20 donations, 20 transactions at Virtuous, 0 differences

$`, shown.String())
	require.Len(t, *reports, 1)
	require.GreaterOrEqual(t, (*reports)[0].Metrics.RecoveredShare.Recovered, int64(1))
	require.EqualValues(t, 20, (*reports)[0].Metrics.RecoveredShare.Confirmed)
}

func TestEachDifferenceFromVirtuousIsNamed(t *testing.T) {
	t.Parallel()
	gift := func(id int64) *int64 { return &id }
	donation := func(id, status string, gift *int64) operatorapi.DonationShown {
		return operatorapi.DonationShown{Donation: operatorapi.Donation{PlatformDonationID: id, Status: status, VirtuousGiftID: gift}}
	}
	require.ElementsMatch(t, []string{
		"twice has two transactions", "lost is not at Virtuous", "other has another gift at Virtuous", "none has another gift at Virtuous",
		"late is submitted, and has a gift at Virtuous", "foreign is at Virtuous only",
	}, compareGiving([]virtuousTransaction{
		{ID: "same", GiftID: 1}, {ID: "held"}, {ID: "twice", GiftID: 2}, {ID: "twice", GiftID: 2}, {ID: "other", GiftID: 3}, {ID: "none"},
		{ID: "late", GiftID: 5}, {ID: "foreign", GiftID: 6},
	}, []operatorapi.DonationShown{
		donation("same", "confirmed", gift(1)), donation("held", "submitted", nil), donation("twice", "confirmed", gift(2)),
		donation("lost", "submitted", nil), donation("other", "confirmed", gift(4)), donation("none", "confirmed", gift(9)),
		donation("late", "submitted", gift(5)),
	}))
}

func TestGivingDemonstrationFailsAtTheStepThatDoesNotComeTrue(t *testing.T) {
	t.Parallel()
	i := newInstallation(t) // no service answers about donations
	d := &givingDemo{screen: i.demo.screen, conn: i.conn, sandbox: i.demo.sandbox, folder: "/data"}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTooLate)
	defer cancel()
	err := d.donate(ctx)
	require.ErrorIs(t, err, errTooLate)
	require.ErrorContains(t, err, "donations are map[submitted:20]; see the logs in /data")
	require.Empty(t, i.shown.String(), "what did not come true is not said")
}
