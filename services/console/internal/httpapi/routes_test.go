package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/services/console/internal/access"
)

// settled answers every question of a form with the zero answer: what is tested is that questions and answers fit the document.
func settled[Question, Reply any](f *fixture, noun string, verbs ...string) {
	f.t.Helper()
	for _, verb := range verbs {
		answers(f, noun, verb, func(string, Question) (reply Reply, rejected *rejection) { return reply, nil })
	}
}

func (f *fixture) standIns() {
	f.t.Helper()
	settled[operatorapi.CustomerCommand, operatorapi.CustomerCommanded](f, "customers", "pause", "resume")
	settled[operatorapi.BackfillsQuestion, operatorapi.BackfillsReply](f, "backfills", "ls")
	settled[operatorapi.BackfillCommand, operatorapi.BackfillCommanded](f, "backfills", "start", "pause", "cancel")
	settled[operatorapi.ConfigQuestion, operatorapi.Config](f, "config", "get")
	settled[operatorapi.ConfigChange, operatorapi.ConfigChanged](f, "config", "set")
	settled[operatorapi.OffboardingQuestion, operatorapi.Offboarding](f, "offboardings", "get")
	settled[operatorapi.TraceQuestion, operatorapi.TraceReply](f, "record", "show", "fix")
	settled[operatorapi.TraceQuestion, operatorapi.TraceReply](f, "users", "show")
	settled[operatorapi.ResyncQuestion, operatorapi.Resync](f, "users", "resync")
	settled[operatorapi.LettersQuestion, operatorapi.LettersReply](f, "letters", "ls")
	settled[operatorapi.LettersQuestion, operatorapi.LettersExport](f, "letters", "export")
	answers(f, "letters", "payload", func(string, operatorapi.LetterPayloadQuestion) (operatorapi.LetterPayload, *rejection) {
		return operatorapi.LetterPayload{Format: operatorapi.PayloadJSON, Data: []byte("{}")}, nil
	})
	settled[operatorapi.LettersCommand, operatorapi.LettersPlanned](f, "letters", "count")
	settled[operatorapi.LettersCommand, operatorapi.LettersDone](f, "letters", "retry", "discard")
	settled[operatorapi.LetterQuestion, operatorapi.LetterShown](f, "letters", "show")
	settled[operatorapi.DrainsQuestion, operatorapi.DrainsReply](f, "drains", "ls")
	settled[operatorapi.DrainQuestion, operatorapi.DrainShown](f, "drains", "show")
	settled[operatorapi.DrainStart, operatorapi.Drain](f, "drains", "start")
	settled[operatorapi.DrainCommand, operatorapi.Drain](f, "drains", "abort")
	settled[operatorapi.ReviewsQuestion, operatorapi.ReviewsReply](f, "review", "ls")
	settled[operatorapi.ReviewQuestion, operatorapi.ReviewShown](f, "review", "show")
	settled[operatorapi.ReviewDecision, operatorapi.ReviewItem](f, "review", "resolve")
	settled[operatorapi.DeletionsQuestion, operatorapi.DeletionsReply](f, "deletions", "ls")
	settled[operatorapi.DeletionQuestion, operatorapi.DeletionShown](f, "deletions", "show")
	settled[operatorapi.DeletionCommand, operatorapi.DeletionCommanded](f, "deletions", "scan", "approve", "reject")
	settled[operatorapi.UndoCommand, operatorapi.UndoCommanded](f, "deletions", "undo")
	settled[operatorapi.DonationsQuestion, operatorapi.DonationsReply](f, "donations", "ls")
	settled[operatorapi.DonationQuestion, operatorapi.DonationShown](f, "donations", "show", "retry", "close")
	settled[operatorapi.RecordsQuestion, operatorapi.GiftsReply](f, "gifts", "ls")
	settled[operatorapi.RecordQuestion, operatorapi.Gift](f, "gifts", "show")
	settled[operatorapi.RecordsQuestion, operatorapi.ContactsReply](f, "contacts", "ls")
	settled[operatorapi.RecordQuestion, operatorapi.Contact](f, "contacts", "show")
	settled[operatorapi.ContactTransactionsQuestion, operatorapi.ContactTransactionsReply](f, "contacts", "transactions")
	settled[operatorapi.ContactTransactionQuestion, operatorapi.ContactTransaction](f, "contacts", "transaction", "retry", "close")
	settled[operatorapi.ContactAppliedQuestion, operatorapi.ContactApplied](f, "contacts", "applied")
	settled[operatorapi.ReconciliationLogQuestion, operatorapi.ReconciliationLogReply](f, "reconciliations", "ls")
	settled[operatorapi.GivingReportQuestion, dailyreport.Report](f, "reports", "show")
	settled[operatorapi.WebhookQuestion, operatorapi.WebhooksReply](f, "webhooks", "ls", "rm")
	settled[operatorapi.WebhookQuestion, operatorapi.Webhook](f, "webhooks", "add", "rotate")
	settled[operatorapi.WebhookQuestion, operatorapi.WebhookVerified](f, "webhooks", "verify")
	settled[operatorapi.WebhookReplay, operatorapi.WebhookReplayed](f, "webhooks", "replay")
	settled[operatorapi.AlertsQuestion, operatorapi.AlertsReply](f, "alerts", "ls")
	settled[operatorapi.EndpointsQuestion, operatorapi.EndpointsReply](f, "endpoints", "ls")
	settled[operatorapi.EndpointQuestion, operatorapi.Endpoint](f, "endpoints", "show", "rm")
	settled[operatorapi.EndpointAdd, operatorapi.EndpointSecret](f, "endpoints", "add")
	settled[operatorapi.EndpointChange, operatorapi.Endpoint](f, "endpoints", "set")
	settled[operatorapi.EndpointRotation, operatorapi.EndpointSecret](f, "endpoints", "rotate")
	settled[operatorapi.EndpointQuestion, operatorapi.EndpointTested](f, "endpoints", "test")
	settled[operatorapi.EndpointDeliveriesQuestion, operatorapi.EndpointDeliveriesReply](f, "endpoints", "deliveries")
	settled[operatorapi.EndpointReplay, operatorapi.EndpointReplayed](f, "endpoints", "replay")
	settled[operatorapi.TokensQuestion, operatorapi.TokensReply](f, "tokens", "ls")
	settled[operatorapi.TokenAddition, operatorapi.TokenAdded](f, "tokens", "add")
	settled[operatorapi.TokenRevocation, operatorapi.GrantEnded](f, "tokens", "revoke")
	settled[operatorapi.LinksQuestion, operatorapi.LinksReply](f, "links", "ls")
	settled[operatorapi.LinkAddition, operatorapi.LinkAdded](f, "links", "add")
	settled[operatorapi.LinkRevocation, operatorapi.GrantEnded](f, "links", "revoke")
	settled[struct{}, operatorapi.AlertsTested](f, "alerts", "test")
	settled[operatorapi.ActsQuestion, operatorapi.ActsReply](f, "audit", "ls")
	answers(f, "requests", "get", func(string, operatorapi.RequestQuestion) (operatorapi.Request, *rejection) {
		return operatorapi.Request{CustomerID: "acme", State: "pending"}, nil
	})
	answers(f, "status", "get", func(_ string, question report.StatusQuestion) (report.Status, *rejection) {
		completed := fixedTime()
		return report.Status{CustomerID: question.CustomerID, Integration: report.Integration{
			Enabled: true, BackfillCompletedAt: &completed,
		}}, nil
	})
	answers(f, "customers", "ls", func(string, operatorapi.CustomersQuestion) (operatorapi.CustomersReply, *rejection) {
		return operatorapi.CustomersReply{Customers: []operatorapi.Customer{{CustomerID: "acme"}}}, nil
	})
	pair, err := nkeys.CreateCurveKeys()
	require.NoError(f.t, err)
	public, err := pair.PublicKey()
	require.NoError(f.t, err)
	answers(f, "key", "get", func(string, struct{}) (operatorapi.KeyReply, *rejection) {
		return operatorapi.KeyReply{PublicKey: public}, nil
	})
}

// bodies are valid bodies of operations that need one.
func bodies() map[string]string {
	return map[string]string{
		"onboard-customer": `{"vomoToken":"secret-token","externalSystemUrl":"https://crm.example/api",
			"quietHours":{"from":"08:00","to":"18:00","zone":"America/Chicago"}}`,
		"replace-vomo-token": `{"token":"secret-token"}`, "replace-virtuous-key": `{"token":"secret-token"}`,
		"change-config": `{"pollCadenceMinutes":15,"destinationToken":"secret-token"}`, "offboard-customer": `{"confirm":"acme"}`,
		"plan-letters": `{"allMatching":true}`, "retry-letters": `{"allMatching":true}`, "discard-letters": `{"allMatching":true,"note":"gone"}`,
		"start-drain":         `{"customerId":"acme","verb":"retry","pacePerMinute":60}`,
		"resolve-review-item": `{"decision":"keep"}`, "undo-deletions": `{"vomoIds":["7"]}`, "close-donation": `{"reason":"by hand"}`,
		"close-contact-transaction": `{"reason":"by hand"}`, "apply-contact": `{"referenceId":"donor-1"}`,
		"submit-donation": `{"platformDonationId":"don-1","amount":"125.00"}`, "submit-contact": `{"referenceId":"donor-1"}`,
		"add-token": `{"name":"crm","role":"viewer"}`, "add-link": `{"customerId":"acme"}`,
		"add-endpoint": `{"url":"https://partner.example/hooks"}`, "change-endpoint": `{"enabled":true}`,
		"replay-endpoint": `{"since":"2026-03-01T00:00:00Z"}`, "replay-webhooks": `{"from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z"}`,
	}
}

func (f *fixture) streams() {
	f.t.Helper()
	js, err := jetstream.New(f.nats.Conn(f.t))
	require.NoError(f.t, err)
	require.NoError(f.t, bus.Ensure(f.t.Context(), js, 1, time.Minute))
}

func TestEachOperationAnswersAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.standIns()
	f.streams()
	for _, op := range operations(f.document) {
		path := op.path
		if op.id == "list-reconciliation-actions" {
			path += "?from=2026-03-01T00:00:00Z"
		}
		got := f.send(op.method, path, bodies()[op.id], administrator())
		require.Less(t, got.status, http.StatusMultipleChoices, "%s: %s", op.id, got.body)
	}
}

func TestSecretsAreSealedBeforeTheyArePublished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.standIns()
	f.streams()
	got := f.post("/customers/acme/onboardings", bodies()["onboard-customer"], administrator())
	require.Equal(t, http.StatusAccepted, got.status, string(got.body))
	published := into[operatorclient.Published](t, got)
	js, err := jetstream.New(f.nats.Conn(t))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), bus.StreamOnboarding)
	require.NoError(t, err)
	message, err := stream.GetMsg(t.Context(), published.Sequence)
	require.NoError(t, err)
	require.NotContains(t, string(message.Data), "secret-token")
	require.Contains(t, string(message.Data), "vomoTokenSealed")
	require.Equal(t, "user:ada", message.Header.Get(bus.HeaderOperator))

	refused := f.post("/customers/acme/onboardings", `{"vomoToken":"secret token\n"}`, administrator())
	require.Equal(t, http.StatusBadRequest, refused.status)
	require.NotContains(t, string(refused.body), "secret token")
}

func TestPublishedDonationNamesItsCustomerAndItsSubmitter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.standIns()
	f.streams()
	got := f.post("/customers/acme/donations", `{"platformDonationId":"don-1"}`, of("acme", access.Read, access.Donations))
	require.Equal(t, http.StatusAccepted, got.status, string(got.body))
	js, err := jetstream.New(f.nats.Conn(t))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), bus.StreamDonations)
	require.NoError(t, err)
	message, err := stream.GetMsg(t.Context(), into[operatorclient.Published](t, got).Sequence)
	require.NoError(t, err)
	require.Equal(t, bus.SubjectDonation("acme"), message.Subject)
	require.JSONEq(t, `{"customerId":"acme","platformDonationId":"don-1"}`, string(message.Data))
	require.Equal(t, "link:1", message.Header.Get(bus.HeaderOperator))
	foreign := f.post("/customers/acme/donations", `{"customerId":"bolt"}`, administrator())
	require.Equal(t, http.StatusUnprocessableEntity, foreign.status)
	require.NotContains(t, string(foreign.body), "bolt")
}

func TestRunIsNotRequestedForACustomerThatCannotBeWorked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.streams()
	paused := time.Now()
	answers(f, "status", "get", func(_ string, question report.StatusQuestion) (report.Status, *rejection) {
		return report.Status{CustomerID: question.CustomerID, Integration: report.Integration{Enabled: true, PausedAt: &paused}}, nil
	})
	got := f.post("/customers/acme/polls", "", administrator())
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, string(got.body), "rollcall resume acme")
}

func TestSettingsAreChangedOnlyIfTheyAreThoseThatWereRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.standIns()
	tag := f.get("/customers/acme/config", administrator()).header.Get("ETag")
	body := `{"pollCadenceMinutes":15}`
	require.Equal(t, http.StatusOK, f.send(http.MethodPatch, "/customers/acme/config", body, administrator(), "If-Match", tag).status)
	require.Equal(t, http.StatusPreconditionFailed, f.send(http.MethodPatch, "/customers/acme/config", body, administrator(), "If-Match", `"old"`).status)
	unknown := f.checked(http.MethodPatch, "/customers/acme/config", `{"pollCadance":15}`, administrator())
	require.Equal(t, http.StatusUnprocessableEntity, unknown.status)
	require.Contains(t, string(unknown.body), "pollCadance")
}

func TestDonorsNeedTheRight(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.DonationQuestion
	answers(f, "donations", "show", func(_ string, question operatorapi.DonationQuestion) (operatorapi.DonationShown, *rejection) {
		asked = question
		return operatorapi.DonationShown{}, nil
	})
	reader := of("acme", access.Read)
	require.Equal(t, http.StatusOK, f.get("/customers/acme/donations/don-1", reader).status)
	require.False(t, asked.Donors)
	require.Equal(t, http.StatusForbidden, f.get("/customers/acme/donations/don-1?donors=true", reader).status)
	require.Equal(t, http.StatusOK, f.get("/customers/acme/donations/don-1?donors=true", of("acme", access.Read, access.Donors)).status)
	require.True(t, asked.Donors)
}

// The names of a status are a contract.
func TestStatusHasTheNamesOfTheContract(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.standIns()
	var groups map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(f.get("/customers/acme/status", administrator()).body, &groups))
	for _, name := range []string{"customerId", "integration", "backfill", "polling", "reconciliation", "health", "inventory"} {
		require.Contains(t, groups, name)
	}
}
