package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func inReview() operatorapi.ContactTransaction {
	return operatorapi.ContactTransaction{
		ID: 17, ReferenceID: "donor-1", Status: "needs_review", TransactionSource: "AcmeGive", Attempts: 1, ReviewReason: new("match_needed"),
		CreatedAt: testTime, StatusAt: testTime, SubmittedAt: &testTime,
	}
}

func TestContactsOfThePlatformAreListedAndShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("contacts", "transactions", func(_ int, data []byte) (any, string) {
		var asked operatorapi.ContactTransactionsQuestion
		if err := json.Unmarshal(data, &asked); err != nil || asked.CustomerID != "acme" || asked.State != "needs_review" && asked.State != "" {
			return "a bad question", service.CodeBadRequest
		}
		return operatorapi.ContactTransactionsReply{Contacts: []operatorapi.ContactTransaction{inReview()}}, noCode
	})
	for _, status := range []string{"needs_review", "all"} {
		require.Regexp(t, `\ndonor-1 +needs_review +2026-11-20`, f.run("contact", "ls", "acme", "--status", status).stdout)
	}
	require.Len(t, document[operatorapi.ContactTransactionsReply](t, f.run("contact", "ls", "acme", "--status", "all", "--json")).Contacts, 1)
	f.answers("contacts", "transaction", inTurn(inReview()))
	require.Regexp(t, `review +match_needed`, f.run("contact", "show", "acme", "donor-1", "--reference").stdout)
	require.Equal(t, exitUsage, f.run("contact", "show", "acme", "donor-1").code, "it is no id at Virtuous")
}

func TestContactIsRetriedAndClosed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pending, confirmed := inReview(), inReview()
	pending.Status, confirmed.Status = "pending", "confirmed"
	f.answers("contacts", "retry", inTurn(pending))
	require.Equal(t, "acme: contact donor-1 is pending\n", f.run("contact", "retry", "acme", "donor-1").stdout)
	f.answers("contacts", "close", inTurn(confirmed))
	require.Equal(t, exitUsage, f.run("contact", "close", "acme", "donor-1").code, "no reason")
	require.Contains(t, f.run("contact", "close", "acme", "donor-1", "--reason", "discarded").stdout, "is confirmed: Virtuous has it")
}

func TestContactIsPublishedFromAFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == bus.StreamDonations {
			f.nats.Stream(t, config)
		}
	}
	path := filepath.Join(t.TempDir(), "contact.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"referenceId":"donor-1","lastName":"Ruiz"}`), 0o600))
	got := f.run("contact", "submit", "acme", path)
	require.Equal(t, "acme: contact published\n", got.stdout, got.stderr)
	stream, err := f.nats.JetStream(t).Stream(t.Context(), bus.StreamDonations)
	require.NoError(t, err)
	message := f.message(stream, 1)
	require.Equal(t, bus.SubjectContact("acme"), message.Subject)
	require.JSONEq(t, `{"customerId":"acme","referenceId":"donor-1","lastName":"Ruiz"}`, string(message.Data))
	require.NoError(t, os.WriteFile(path, []byte(`["Ruiz"]`), 0o600))
	got = f.run("contact", "submit", "acme", path)
	require.Contains(t, got.stderr, "the file is no contact")
	require.NotContains(t, got.stderr, "Ruiz")
}

func TestContactsShowTheFieldsInWhichTheyDiffer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	differing := inReview()
	differing.Status, differing.ReviewReason = "confirmed", nil
	differing.Differences = []operatorapi.ContactDifference{
		{ReferenceID: "donor-1", Field: "email", State: "conflict", Reason: new("duplicate_email"), OtherContactID: new(int64(7)), Since: testTime},
		{ReferenceID: "donor-1", Field: "phone", State: "partner_pending", Since: testTime},
	}
	f.answers("contacts", "transactions", inTurn(operatorapi.ContactTransactionsReply{Contacts: []operatorapi.ContactTransaction{differing}}))
	require.Contains(t, f.run("contact", "ls", "acme", "--status", "all").stdout, "email conflict, phone partner_pending")
	f.answers("contacts", "transaction", inTurn(differing))
	shown := f.run("contact", "show", "acme", "donor-1", "--reference").stdout
	require.Regexp(t, `email +conflict \(duplicate_email\), the address is also of contact 7 since 2026-`, shown)
	require.Regexp(t, `phone +partner_pending since 2026-`, shown)

	at := operatorapi.Contact{VirtuousContactID: 501, State: "live", SyncState: "conflict", Differences: differing.Differences}
	f.answers("contacts", "ls", inTurn(operatorapi.ContactsReply{Contacts: []operatorapi.Contact{at}}))
	require.Regexp(t, `DIFFERS IN *\n501 .*email conflict, phone partner_pending`, f.run("contact", "ls", "acme").stdout)
	f.answers("contacts", "show", inTurn(at))
	require.Regexp(t, `phone of platform's donor-1 +partner_pending since`, f.run("contact", "show", "acme", "501").stdout)
}

func TestContactAppliedSettlesWhatWaitsForThePlatform(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.ContactAppliedQuestion
	stop := f.answers("contacts", "applied", func(n int, data []byte) (any, string) {
		asked = operatorapi.ContactAppliedQuestion{}
		if err := json.Unmarshal(data, &asked); err != nil {
			return "a bad question", service.CodeBadRequest
		}
		if n == 1 {
			return operatorapi.ContactApplied{CustomerID: "acme", Fields: []string{"email", "phone"}}, noCode
		}
		return operatorapi.ContactApplied{CustomerID: "acme", Fields: []string{}}, noCode
	})
	got := f.run("contact", "applied", "acme", "donor-1", "--field", "email", "--field", "phone")
	require.Equal(t, "acme: settled of contact donor-1: email, phone\n", got.stdout, got.stderr)
	require.Equal(t, operatorapi.ContactAppliedQuestion{CustomerID: "acme", ReferenceID: "donor-1", Fields: []string{"email", "phone"}}, asked)
	require.Equal(t, "acme: nothing of contact donor-1 waits for the platform\n", f.run("contact", "applied", "acme", "donor-1").stdout)
	require.Empty(t, asked.Fields)
	require.Equal(t, exitUsage, f.run("contact", "applied", "acme").code)
	stop()
	f.answers("contacts", "applied", unknown)
	require.Contains(t, f.run("contact", "applied", "acme", "donor-9").stderr, "has no such contact of the platform")
}
