package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// give gives acme giving before the sandbox's Virtuous, with a donation that was submitted four days ago. No scheduled run is due.
func (f *fixture) give() {
	f.t.Helper()
	address := testkit.FreeAddr(f.t)
	testkit.Program(f.t, "rollcall.dev/services/sandbox", testkit.ProgramConfig{
		Env: map[string]string{"HTTP_ADDR": address}, Args: []string{"-virtuous", "acme"},
	})
	testkit.WaitReady(f.t, "http://"+address+"/readyz")
	f.settings.VirtuousBaseURL = "http://" + address + "/virtuous"
	sealed, err := f.sealer.Seal(f.t.Context(), "acme", store.CredentialVirtuousToken, []byte("v_sandbox-acme-key"))
	require.NoError(f.t, err)
	f.exec(`INSERT INTO credentials VALUES ('acme', 'virtuous_token', $1, rollcall_now())`, sealed)
	f.exec(`INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		organization_id, organization_name, time_zone, culture, updated_at, next_reconcile_at, next_report_at)
		VALUES ('acme', true, rollcall_now(), 'designations', '{}', 72, 24, '1', 'Relief', 'America/Phoenix', 'en-US', rollcall_now(), 'infinity', 'infinity')`)
	f.exec(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		submitted_at, unanswered_since, created_at, status_at, updated_at)
		SELECT 'acme', 'don-1', 'submitted', 'AcmeGive', '', '', '', c.at, c.at, c.at, c.at, c.at FROM (SELECT rollcall_now() - interval '4 days' AS at) c`)
}

// settled waits until a request is acked, and what it asked for is done.
func (f *fixture) settled() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return f.waiting() == 0 && values[int](f, `SELECT count(*) FROM giving_reconciliations`)[0] == 0
	}, soon, 20*time.Millisecond)
}

func TestRequestForACategoryOfGivingIsWorkedAtOnceAndSettled(t *testing.T) {
	t.Parallel()
	for category, one := range map[string]struct{ done, want string }{
		"stuck": {`SELECT platform_donation_id || ' ' || status FROM virtuous_donation_queue WHERE looked_up_at IS NOT NULL`, "don-1 submitted"},
		"needs_update": {
			`SELECT platform_record_id || ' ' || resolution FROM virtuous_reconciliation_log WHERE category = 'needs_update'`, "don-1 marked_needs_review",
		},
		"missed_webhook": {`SELECT resource FROM sync_checkpoints WHERE resource = 'virtuous_gifts'`, "virtuous_gifts"},
		"gift_deletions": {`SELECT entity || ' ' || state FROM deletion_runs WHERE ended_at IS NOT NULL`, "gift done"},
		"report":         {`SELECT customer_id || ' ' || date FROM giving_reports`, "acme 2026-03-02"},
	} {
		t.Run(category, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.give()
			f.start()
			f.publish("rollcall.reconcile."+category+".acme", plain)
			require.Eventually(t, func() bool { return len(values[string](f, one.done)) == 1 }, soon, 20*time.Millisecond)
			f.settled()

			require.Equal(t, []string{one.want}, values[string](f, one.done))
			require.Equal(t, []string{"reconcile." + category + " done"}, values[string](f, `SELECT verb || ' ' || outcome FROM operator_audit`))
			require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM dead_letters`))
		})
	}
}

func TestOperatorsAskAboutSearchesForDeletedGifts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.give()
	f.start()
	f.publish("rollcall.reconcile.gift_deletions.acme", plain)
	f.settled()
	gift := operatorapi.DeletionCommand{CustomerID: "acme", Entity: operatorapi.EntityGift}
	started, code := ask[operatorapi.DeletionCommanded](f, "scan", gift)
	require.Empty(t, code)
	require.Equal(t, operatorapi.DeletionScanStarted, started.Action)
	require.Eventually(t, func() bool {
		return len(values[string](f, `SELECT state FROM deletion_runs WHERE state = 'done'`)) == 2
	}, soon, 20*time.Millisecond)

	listed, code := ask[operatorapi.DeletionsReply](f, "ls", operatorapi.DeletionsQuestion{CustomerID: "acme", Entity: operatorapi.EntityGift})
	require.Empty(t, code)
	require.Len(t, listed.Deletions, 2)
	listed, _ = ask[operatorapi.DeletionsReply](f, "ls", operatorapi.DeletionsQuestion{CustomerID: "acme", Entity: operatorapi.EntityUser})
	require.Empty(t, listed.Deletions)
	shown, code := ask[operatorapi.DeletionShown](f, "show", gift)
	require.Empty(t, code)
	require.Equal(t, "done gift", shown.State+" "+shown.Entity)
	_, code = ask[operatorapi.DeletionShown](f, "show", operatorapi.DeletionQuestion{CustomerID: "acme"})
	require.Equal(t, service.CodeConflict, code, "it is no scan of users")
	for _, verb := range []string{"approve", "reject"} {
		_, code = ask[operatorapi.DeletionCommanded](f, verb, gift)
		require.Equal(t, service.CodeConflict, code, verb)
	}
	_, code = ask[operatorapi.UndoCommanded](f, "undo", operatorapi.UndoCommand{CustomerID: "acme", Entity: operatorapi.EntityGift, GiftIDs: []int64{1}})
	require.Equal(t, service.CodeConflict, code)
	_, code = ask[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme", Entity: "contact"})
	require.NotEmpty(t, code)
	require.Equal(t, []string{
		"deletions.approve rejected", "deletions.reject rejected", "deletions.scan done", "deletions.scan rejected", "deletions.undo rejected",
	},
		values[string](f, `SELECT verb || ' ' || outcome FROM operator_audit WHERE verb LIKE 'deletions.%' ORDER BY 1`))
}

func TestRequestForACustomerWithoutGivingIsRejectedButForTheReportOfOneSwitchedOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("globex")
	f.give()
	f.exec(`UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	f.start()
	for _, customer := range []string{"acme", "globex"} {
		for _, category := range []string{"stuck", "report"} {
			f.publish("rollcall.reconcile."+category+"."+customer, `{"customerId":"`+customer+`"}`)
		}
	}
	f.settled()

	require.Equal(t, []string{
		"acme reconcile.report done", "acme reconcile.stuck rejected customer_not_served",
		"globex reconcile.report rejected customer_not_served", "globex reconcile.stuck rejected customer_not_served",
	}, values[string](f, `SELECT concat_ws(' ', customer_id, verb, outcome, code) FROM operator_audit ORDER BY 1`))
	require.Equal(t, []string{"acme"}, values[string](f, `SELECT customer_id FROM giving_reports`))
}

func TestBadRequestForACategoryOfGivingBecomesALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.give()
	f.start()
	for _, category := range []string{"stuck", "needs_update", "missed_webhook", "gift_deletions", "report"} {
		f.publish("rollcall.reconcile."+category+".acme", `{"customerId":"globex"}`)
	}
	require.Eventually(t, func() bool { return values[int](f, `SELECT count(*) FROM dead_letters`)[0] == 5 && f.waiting() == 0 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{
		"request_invalid permanent rollcall.reconcile.gift_deletions.acme", "request_invalid permanent rollcall.reconcile.missed_webhook.acme",
		"request_invalid permanent rollcall.reconcile.needs_update.acme",
		"request_invalid permanent rollcall.reconcile.report.acme", "request_invalid permanent rollcall.reconcile.stuck.acme",
	}, values[string](f, `SELECT concat_ws(' ', error_code, error_class, original_subject) FROM dead_letters ORDER BY 1`))
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM giving_reports`))
}

func TestDailyRunStoresTheReportWithTheInstallationsLimits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.give()
	f.settings.GivingReportLimits = "needsReview=0/7"
	f.exec(`UPDATE virtuous_configs SET next_report_at = rollcall_now()`)
	f.start()
	require.Eventually(t, func() bool { return len(values[string](f, `SELECT customer_id FROM giving_reports`)) == 1 }, soon, 20*time.Millisecond)
	require.Equal(t, []string{"acme 2026-03-02 look 1"}, values[string](f, `SELECT concat_ws(' ', customer_id, date, report #>> '{metrics,needsReview,state}',
		report #>> '{metrics,needsReview,value}') FROM giving_reports`), "needs_update came before")
}
