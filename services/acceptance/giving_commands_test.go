package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/dailyreport"
)

// Each command about giving asks the services as they run. Three donations end in three ways: Virtuous rejects one at first, one has no
// gift for days, and one is confirmed.
func TestOperatorsFollowDonationsByCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.giving(map[string]any{"imports": "manual"})
	f.start(programReconciler, f.toVirtuous())
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "virtuous", "org": "acme", "operation": "transaction", "kind": "status", "status": 422, "records": []string{"rejected"}, "count": 1,
	}, nil)
	f.submitByCommand("imported")
	f.donate("rejected", "10.25")
	f.donate("discarded", "11.25")
	f.await(longest, "Virtuous has answered", func() bool { return f.donations("submitted") == 2 && f.donations("failed") == 1 })
	failed := f.operator("donation", "ls", "acme", "--status", "failed")
	require.Contains(t, failed, "rejected")
	require.NotContains(t, failed, "discarded")
	require.Contains(t, f.operator("donation", "retry", "acme", "rejected"), "acme: donation rejected is pending")
	f.await(longest, "it is sent again", func() bool { return f.donations("submitted") == 3 })

	f.discardByCommand()
	f.control(http.MethodPost, ofAcme+"/transactions:discard", map[string]any{"source": "AcmeGive", "ids": []string{"discarded"}}, nil)
	f.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": 24 * 60 * 60}, nil)
	f.control(http.MethodPost, ofAcme+"/imports:run", map[string]any{}, nil)
	f.await(longest, "the others are confirmed", func() bool { return f.donations("confirmed") == 2 })
	f.recordsByCommand()
	f.reportByCommand()
}

// submitByCommand publishes a donation from a file, and shows it with and without its donor.
func (f *fixture) submitByCommand(id string) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "donation.json")
	require.NoError(f.t, os.WriteFile(path, fmt.Appendf(nil, `{"platformDonationId":%q,"amount":"125.00","currencyCode":"USD","giftDate":"2026-02-20",
		"giftType":"Credit","contact":{"type":"Household","firstName":"Ana","lastName":"Ruiz","email":"ana@donor.example"},"platformReference":"ch_3Nf",
		"designations":[{"code":"CLEAN-WATER","amountDesignated":"125.00"}]}`, id), 0o600))
	require.Contains(f.t, f.operator("donation", "submit", "acme", path), "acme: donation published")
	f.await(longest, "it is submitted", func() bool { return f.donations("submitted") == 1 })
	require.NotContains(f.t, f.operator("donation", "show", "acme", id), "Ana")
	require.Contains(f.t, f.operator("donation", "show", "acme", id, "--donors"), "Ana Ruiz")
	f.await(soon, "that is audited", func() bool {
		return f.count(`SELECT count(*) FROM operator_audit
			WHERE verb = 'donations.show' AND customer_id = 'acme' AND outcome = 'done' AND filter::text LIKE '%donors%'`) == 1
	})
}

// discardByCommand has the donation `discarded` reviewed after days without a gift, sends it again, and closes it after another review.
func (f *fixture) discardByCommand() {
	f.t.Helper()
	f.reviewByCommand("discarded")
	listed := f.operator("review", "ls", "acme", "--kind", "donation")
	require.Contains(f.t, listed, "import_not_run")
	require.NotContains(f.t, listed, "Ana")
	require.Contains(f.t, f.operator("review", "ls", "acme", "--kind", "donation", "--donors"), "Ana Ruiz discarded")
	number := strconv.Itoa(f.count(`SELECT id FROM virtuous_donation_queue WHERE platform_donation_id = 'discarded'`))
	require.Contains(f.t, f.operator("review", "resolve", "acme", number, "retry", "--kind", "donation"), "acme: donation discarded is pending")
	f.await(longest, "Virtuous has it already", func() bool {
		return f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE status = 'submitted' AND repeated AND platform_donation_id = 'discarded'`) == 1
	})

	f.reviewByCommand("discarded")
	logged := f.operator("reconcile", "log", "acme", "--category", "needs_update")
	require.Len(f.t, regexp.MustCompile(`needs_update +marked_needs_review +donation +discarded`).FindAllString(logged, -1), 2)
	require.Contains(f.t, f.operator("donation", "close", "acme", "discarded", "--reason", "staff discarded it"), "acme: donation discarded is closed")
}

// reviewByCommand has a donation reconciled as if it had been submitted days ago.
func (f *fixture) reviewByCommand(id string) {
	f.t.Helper()
	f.await(soon, "no category waits", func() bool { return f.count(`SELECT count(*) FROM giving_reconciliations`) == 0 })
	_, err := f.pool.Exec(f.t.Context(), `UPDATE virtuous_donation_queue SET submitted_at = submitted_at - interval '80 hours', looked_up_at = NULL
		WHERE platform_donation_id = $1`, id)
	require.NoError(f.t, err)
	require.Contains(f.t, f.operator("reconcile", "now", "acme", "--category", "needs_update"), "acme: reconciliation requested")
	f.await(longest, "it needs review", func() bool { return f.donations("needs_review") == 1 })
}

// recordsByCommand shows the gift of a donation, and its contact.
func (f *fixture) recordsByCommand() {
	f.t.Helper()
	var shown struct {
		Status             string
		VirtuousGiftID     int64
		VirtuousContactID  int64
		PlatformDonationID string
	}
	require.NoError(f.t, json.Unmarshal([]byte(f.operator("donation", "show", "acme", "imported", "--json")), &shown))
	require.Equal(f.t, "confirmed", shown.Status)
	gift := strconv.FormatInt(shown.VirtuousGiftID, 10)
	require.Regexp(f.t, `\n`+gift+` +live +125 +USD`, f.operator("gift", "ls", "acme"))
	require.Regexp(f.t, `transactionId +imported`, f.operator("gift", "show", "acme", gift))
	f.await(longest, "the contact is known", func() bool {
		return f.count(`SELECT count(*) FROM partner_contacts WHERE virtuous_contact_id = $1`, shown.VirtuousContactID) == 1
	})
	contact := strconv.FormatInt(shown.VirtuousContactID, 10)
	require.Regexp(f.t, `\n`+contact+` +live`, f.operator("contact", "ls", "acme"))
	require.Contains(f.t, f.operator("contact", "show", "acme", contact), "Ruiz")
}

// reportByCommand stores the report of today by hand, and shows it.
func (f *fixture) reportByCommand() {
	f.t.Helper()
	f.await(soon, "no report waits", func() bool { return f.count(`SELECT count(*) FROM giving_reconciliations`) == 0 })
	_, err := f.pool.Exec(f.t.Context(), `DELETE FROM giving_reports`)
	require.NoError(f.t, err)
	require.Contains(f.t, f.operator("reconcile", "now", "acme", "--category", "report"), "acme: reconciliation requested")
	f.await(longest, "the report is stored", func() bool { return f.count(`SELECT count(*) FROM giving_reports`) == 1 })
	var now, stored dailyreport.Report
	require.NoError(f.t, json.Unmarshal([]byte(f.operator("report", "acme", "--json")), &now))
	require.NoError(f.t, json.Unmarshal([]byte(f.operator("report", "acme", "--date", now.Date, "--json")), &stored))
	require.Equal(f.t, now.Metrics.RecoveredShare, stored.Metrics.RecoveredShare)
	require.EqualValues(f.t, f.donations("confirmed"), stored.Metrics.RecoveredShare.Confirmed)
	require.Contains(f.t, f.operator("report", "acme", "--date", now.Date), "recovered by reconciliation")
}
