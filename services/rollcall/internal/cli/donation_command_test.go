package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func reviewed() operatorapi.DonationShown {
	return operatorapi.DonationShown{
		Donation: operatorapi.Donation{
			ID: 17, PlatformDonationID: "don-1", Status: "needs_review", TransactionSource: "AcmeGive", Attempts: 1, ReviewReason: new("match_needed"),
			CreatedAt: testTime, StatusAt: testTime, SubmittedAt: &testTime,
		},
		Review: &operatorapi.DonationReview{
			PlatformReference: new("ch_3Nf"), MissingSignals: []string{"phone", "address"}, Decisions: []string{"retry", "close"},
			ImportsURL: new("https://app.example.org/imports"),
		},
	}
}

func TestDonationsAreListedAndShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("donations", "ls", func(_ int, data []byte) (any, string) {
		var asked operatorapi.DonationsQuestion
		if err := json.Unmarshal(data, &asked); err != nil || asked.CustomerID != "acme" || asked.State != "needs_review" {
			return "a bad question", service.CodeBadRequest
		}
		one := reviewed()
		if asked.Donors {
			one.Review.Donor = &operatorapi.Donor{Name: "Ana Ruiz", Amount: "125.00", CurrencyCode: "USD", GiftDate: "2026-11-20"}
		}
		return operatorapi.DonationsReply{Donations: []operatorapi.DonationShown{one}}, noCode
	})
	require.Regexp(t, `\n17 +don-1 +needs_review +2026-11-20`, f.run("donation", "ls", "acme", "--status", "needs_review").stdout)
	got := f.run("review", "ls", "acme", "--kind", "donation")
	require.Regexp(t, `\n17 +don-1 +ch_3Nf +match_needed +\S+ +phone, address +retry, close`, got.stdout)
	require.Contains(t, got.stdout, "https://app.example.org/imports")
	require.NotContains(t, got.stdout, "Ana")
	require.Contains(t, f.run("review", "ls", "acme", "--kind", "donation", "--donors").stdout, "Ana Ruiz; 125.00 USD on 2026-11-20")
	require.Equal(t, exitUsage, f.run("review", "ls", "--kind", "donation").code)
	require.Equal(t, exitUsage, f.run("review", "ls", "acme", "--donors").code)

	f.answers("donations", "show", inTurn(reviewed()))
	got = f.run("donation", "show", "acme", "don-1")
	require.Regexp(t, `missing to match by +phone, address`, got.stdout)
	require.Equal(t, "don-1", document[operatorapi.DonationShown](t, f.run("donation", "show", "acme", "don-1", "--json")).PlatformDonationID)
}

func TestDonationIsRetriedAndClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	retried, closed := reviewed(), reviewed()
	retried.Status, closed.Status = "pending", "closed"
	f.answers("donations", "retry", func(_ int, data []byte) (any, string) {
		if strings.Contains(string(data), "don-9") {
			return "not found", service.CodeNotFound
		}
		return retried, noCode
	})
	f.answers("donations", "close", func(_ int, data []byte) (any, string) {
		var asked operatorapi.DonationQuestion
		if err := json.Unmarshal(data, &asked); err != nil || asked.Reason != "entered by hand" || asked.ID != 17 && asked.PlatformDonationID != "don-1" {
			return "a bad question", service.CodeBadRequest
		}
		return closed, noCode
	})
	require.Equal(t, result{stdout: "acme: donation don-1 is pending\n"}, f.run("donation", "retry", "acme", "don-1"))
	require.Contains(t, f.run("donation", "retry", "acme", "don-9").stderr, "has no such donation")
	require.Equal(t, exitUsage, f.run("donation", "close", "acme", "don-1").code, "a reason is needed")
	require.Equal(t, result{stdout: "acme: donation don-1 is closed\n"}, f.run("donation", "close", "acme", "don-1", "--reason", "entered by hand"))
	require.Equal(t, result{stdout: "acme: donation don-1 is closed\n"},
		f.run("review", "resolve", "acme", "17", "close", "--kind", "donation", "--reason", "entered by hand"))
	require.Equal(t, exitUsage, f.run("review", "resolve", "acme", "17", "close", "--kind", "donation").code)
	require.Equal(t, exitUsage, f.run("review", "resolve", "acme", "17", "drop", "--kind", "donation").code)
}

func TestDonationIsPublishedFromAFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == bus.StreamDonations {
			f.nats.Stream(t, config)
		}
	}
	path := filepath.Join(t.TempDir(), "donation.json")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(`{"platformDonationId":"don-1","amount":"125.00"}`)
	require.Equal(t, result{stdout: "acme: donation published\n"}, f.run("donation", "submit", "acme", path))
	f.process.Stdin = strings.NewReader(`{"customerId":"acme","platformDonationId":"don-2"}`)
	require.EqualValues(t, 2, document[published](t, f.run("donation", "submit", "acme", "-", "--json")).Sequence)
	stream, err := f.nats.JetStream(t).Stream(t.Context(), bus.StreamDonations)
	require.NoError(t, err)
	message := f.message(stream, 1)
	require.Equal(t, bus.SubjectDonation("acme"), message.Subject)
	require.JSONEq(t, `{"customerId":"acme","platformDonationId":"don-1","amount":"125.00"}`, string(message.Data))
	for _, text := range []string{`{"customerId":"globex"}`, `[]`, `null`, `Ana Ruiz`} {
		write(text)
		got := f.run("donation", "submit", "acme", path)
		require.Equal(t, exitFailed, got.code)
		require.NotContains(t, got.stderr, "Ana")
	}
}

func TestGiftsAndContactsAreListedAndShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	gift := operatorapi.Gift{VirtuousGiftID: 9, State: "live", Amount: "125.00", CurrencyCode: "USD", LastSyncAt: testTime}
	person := operatorapi.Contact{VirtuousContactID: 5, State: "merged", MergedInto: new(int64(4)), LastSyncAt: testTime}
	f.answers("gifts", "ls", inTurn(operatorapi.GiftsReply{Gifts: []operatorapi.Gift{gift}}))
	f.answers("contacts", "ls", inTurn(operatorapi.ContactsReply{Contacts: []operatorapi.Contact{person}}))
	require.Regexp(t, `\n9 +live +125\.00 +USD `, f.run("gift", "ls", "acme").stdout)
	require.Regexp(t, `\n5 +merged +- +4 `, f.run("contact", "ls", "acme").stdout)
	gift.Fields, person.Fields = map[string]string{"notes": "Thanks", "empty": ""}, map[string]string{"name": "Ana Ruiz"}
	f.answers("gifts", "show", inTurn(gift))
	f.answers("contacts", "show", func(_ int, data []byte) (any, string) {
		if strings.Contains(string(data), `"id":6`) {
			return "not found", service.CodeNotFound
		}
		return person, noCode
	})
	got := f.run("gift", "show", "acme", "9")
	require.Regexp(t, `notes +Thanks`, got.stdout)
	require.NotContains(t, got.stdout, "empty")
	require.Regexp(t, `name +Ana Ruiz`, f.run("contact", "show", "acme", "5").stdout)
	require.Contains(t, f.run("contact", "show", "acme", "6").stderr, "has no such contact")
	require.Equal(t, exitUsage, f.run("contact", "show", "acme", "x").code)
}

func TestReportOfGivingPrintsWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := dailyreport.Report{CustomerID: "acme", Date: "2026-11-20", MadeAt: testTime, State: dailyreport.Look}
	made.Metrics.Failed = dailyreport.Count{Value: 3, Verdict: dailyreport.Verdict{Healthy: "0", State: dailyreport.Look, Remedy: "See what Virtuous rejects."}}
	for _, one := range []*dailyreport.Verdict{
		&made.Metrics.Pending.Verdict, &made.Metrics.SubmittedLate.Verdict, &made.Metrics.NeedsReview.Verdict, &made.Metrics.Conflict.Verdict,
		&made.Metrics.Latency.Verdict, &made.Metrics.RecoveredShare.Verdict,
	} {
		*one = dailyreport.Verdict{Healthy: "0", State: dailyreport.OK, Remedy: "Nothing."}
	}
	made.Metrics.Failed.Baseline = &dailyreport.Baseline{Median: 1.5, Reports: 14}
	made.Metrics.Latency.Baseline = &dailyreport.Baseline{Median: 9000, Reports: 9}
	f.answers("reports", "show", inTurn(made))
	got := f.run("report", "acme")
	require.Regexp(t, `\nfailed +3 +1.5 +0 +look\n`, got.stdout)
	require.Regexp(t, `\nsubmitted to confirmed +- +2h30m +0 +ok\n`, got.stdout)
	require.Regexp(t, `\nrecovered by reconciliation +- +- +0 +ok\n`, got.stdout)
	require.Contains(t, got.stdout, "failed: See what Virtuous rejects.\n")
	require.NotContains(t, got.stdout, "Nothing.")
	require.Equal(t, made, document[dailyreport.Report](t, f.run("report", "acme", "--json")))
}

func TestReconcileLogIsListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("reconciliations", "ls", func(n int, data []byte) (any, string) {
		var asked operatorapi.ReconciliationLogQuestion
		if err := json.Unmarshal(data, &asked); err != nil || asked.Category != "stuck" || (n%2 == 0) != (asked.After != nil && asked.After.ID == 1) {
			return "a bad question", service.CodeBadRequest
		}
		one := operatorapi.ReconciliationAction{ID: int64(2 - n%2), RunAt: testTime, Category: "stuck", Resolution: "auto_recovered", PlatformRecordID: new("don-1"),
			Details: json.RawMessage(`{"gift":7}`)}
		reply := operatorapi.ReconciliationLogReply{Actions: []operatorapi.ReconciliationAction{one}}
		if n%2 == 1 {
			reply.Next = &operatorapi.ReconciliationPos{RunAt: testTime, ID: 1}
		}
		return reply, noCode
	})
	got := f.run("reconcile", "log", "acme", "--from", "2026-11-01", "--category", "stuck")
	require.Zero(t, got.code, got.stderr)
	require.Len(t, strings.Split(strings.TrimSpace(got.stdout), "\n"), 3)
	require.Regexp(t, `stuck +auto_recovered +- +don-1 +- +gift.7`, got.stdout)
	require.Len(t, document[operatorapi.ReconciliationLogReply](t, f.run("reconcile", "log", "acme", "--category", "stuck", "--json")).Actions, 2)
}
