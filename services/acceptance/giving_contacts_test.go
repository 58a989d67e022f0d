package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
)

// publishContact publishes a contact, as a partner does each time it changes.
func (f *fixture) publishContact(reference string) {
	f.t.Helper()
	f.publish(bus.SubjectContact("acme"), map[string]any{
		"customerId": "acme", "referenceId": reference, "firstName": "Ana", "lastName": "Ruiz", "email": reference + "@donor.example",
		"modifiedAt": "2026-02-20T22:00:00Z",
	})
}

// contactTransactions returns how many contacts of the platform are in a state.
func (f *fixture) contactTransactions(state string) int {
	f.t.Helper()
	return f.count(`SELECT count(*) FROM virtuous_contact_queue WHERE status = $1`, state)
}

// requireContactTraced asks the service where a contact is, as `rollcall record` does, and requires the cause. A process for each question would take
// most of the test's time.
func (f *fixture) requireContactTraced(cause, id string) operatorapi.Trace {
	f.t.Helper()
	var reply operatorapi.TraceReply
	code, text := f.askService("record", "show", operatorapi.TraceQuestion{CustomerID: "acme", Kind: operatorapi.TraceContact, RecordID: id}, &reply)
	require.Empty(f.t, code, text)
	shown, err := json.Marshal(reply)
	require.NoError(f.t, err)
	require.NotContains(f.t, string(shown), "Ruiz")
	require.NotContains(f.t, string(shown), "donor.example")
	require.Len(f.t, reply.Traces, 1)
	trace := reply.Traces[0]
	require.Equal(f.t, cause, trace.Cause.Code, "%s: %s", id, trace.Cause.Text)
	return trace
}

// runImport lets a day end at Virtuous, and has staff run the import of its transactions.
func (f *fixture) runImport() {
	f.t.Helper()
	f.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": 24 * 60 * 60}, nil)
	f.control(http.MethodPost, ofAcme+"/imports:run", map[string]any{}, nil)
}

// awaitDelivered waits until every webhook was delivered and applied.
func (f *fixture) awaitDelivered() {
	f.t.Helper()
	f.await(longest, "all webhooks are applied", func() bool {
		var ledger givingLedger
		f.control(http.MethodGet, ofAcme+"/ledger", nil, &ledger)
		return ledger.Events.Waiting+f.messages(bus.StreamWebhooks, bus.SubjectWebhooks("acme"))+
			f.count(`SELECT count(*) FROM webhook_inbox WHERE state = 'waiting'`) == 0
	})
}

// The import finds two of the contacts among those that the charity has, and adds the others. The webhook of the last one is lost.
func TestContactsOfThePlatformAreConfirmedByWebhooksOfMatchedAndCreatedContacts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.giving(map[string]any{"imports": "manual", "webhooks": map[string]any{"duplicates": 0.5, "envelope": "mixed"}})
	known := map[string]string{}
	for _, reference := range []string{"matched-1", "matched-2"} {
		var added struct{ Contacts []struct{ ID int64 } }
		f.control(http.MethodPost, ofAcme+"/contacts", map[string]any{
			"firstName": "Ana", "lastName": "Ruiz", "email": reference + "@donor.example",
		}, &added)
		known[reference] = strconv.FormatInt(added.Contacts[0].ID, 10)
	}
	f.publish(bus.SubjectContact("acme"), map[string]any{"customerId": "acme", "referenceId": "invalid", "email": "no address"})
	for _, reference := range []string{"matched-1", "created-1", "matched-2", "created-2", "matched-1"} {
		f.publishContact(reference)
	}
	f.await(longest, "Virtuous has accepted each contact", func() bool { return f.contactTransactions("submitted") == 4 })
	f.await(longest, "the invalid one has a letter", func() bool { return f.count(`SELECT count(*) FROM dead_letters WHERE record_id = 'invalid'`) == 1 })
	f.requireContactTraced("contact_not_captured", "invalid")
	waits := f.requireContactTraced("contact_submitted_waits", "created-1")
	require.Equal(t, []int{200}, statuses(waits))

	f.runImport()
	f.await(longest, "each contact is confirmed", func() bool { return f.contactTransactions("confirmed") == 4 })
	f.awaitDelivered()
	require.Equal(t, 4, f.count(`SELECT count(*) FROM virtuous_contact_queue WHERE recovery_path IS NULL AND compare_wanted_at IS NULL`), "by webhooks")
	for reference, id := range known {
		confirmed := f.requireContactTraced("contact_confirmed", reference)
		require.Equal(t, id, strconv.FormatInt(*confirmed.VirtuousRecordID, 10), "the contact that the charity had")
		require.Subset(t, hopsOf(confirmed), []string{"captured", "attempt", "submitted", "confirmed", "webhook", "lookup"})
		require.Equal(t, reference, *f.requireContactTraced("contact_confirmed", id).PlatformRecordID)
	}
	require.Equal(t, 2, f.count(`SELECT count(*) FROM virtuous_contact_queue q WHERE reference_id LIKE 'created-%' AND NOT EXISTS (
		SELECT FROM virtuous_contact_queue m WHERE m.reference_id LIKE 'matched-%' AND m.virtuous_contact_id = q.virtuous_contact_id)`))
	f.loseTheWebhookOfAContact()
	f.requireContactsSentOnce(5)
	f.decideAboutDifferences()
	require.NotContains(t, f.logs(), "@donor.example")
}

// loseTheWebhookOfAContact has a reconciliation confirm a contact of which no webhook comes.
func (f *fixture) loseTheWebhookOfAContact() {
	f.t.Helper()
	f.control(http.MethodPut, ofAcme+"/settings", map[string]any{"webhooks": map[string]any{"loss": 1}}, nil)
	f.publishContact("lost")
	f.await(longest, "Virtuous has accepted it", func() bool { return f.contactTransactions("submitted") == 1 })
	_, err := f.pool.Exec(f.t.Context(), `UPDATE virtuous_contact_queue SET submitted_at = submitted_at - interval '80 hours' WHERE reference_id = 'lost'`)
	require.NoError(f.t, err)
	f.requireContactTraced("contact_submitted_import_not_run", "lost")
	f.runImport()
	f.requireContactTraced("missed_webhook", "lost")
	require.Equal(f.t, 1, f.contactTransactions("submitted"), "nothing is changed without --fix")
	f.start(programReconciler, f.toVirtuous())
	f.requestUnlessWaiting(bus.SubjectReconcile("stuck", "acme"), "acme")
	f.await(longest, "the reconciliation confirms it", func() bool { return f.contactTransactions("confirmed") == 5 })
	require.Equal(f.t, 1, f.count(`SELECT count(*) FROM virtuous_contact_queue WHERE reference_id = 'lost' AND recovery_path LIKE 'reconciliation%'`))
	require.Contains(f.t, hopsOf(f.requireContactTraced("contact_confirmed", "lost")), "reconciliation")
}

// requireContactsSentOnce requires that Virtuous got one transaction of each of so many contacts, and that each was confirmed by one event.
func (f *fixture) requireContactsSentOnce(contacts int) {
	f.t.Helper()
	var ledger struct {
		ContactTransactions struct{ Accepted, Imported, Repeats int }
		Quota               struct{ Operations map[string]int }
	}
	f.control(http.MethodGet, ofAcme+"/ledger", nil, &ledger)
	require.Equal(f.t, contacts, ledger.ContactTransactions.Accepted)
	require.Equal(f.t, contacts, ledger.ContactTransactions.Imported)
	require.Zero(f.t, ledger.ContactTransactions.Repeats)
	require.Equal(f.t, contacts, ledger.Quota.Operations["contact_transaction"], "none was sent twice")
	seen := map[string]bool{}
	messages := f.events(bus.StreamEvents, bus.SubjectEvent("contact.confirmed", "acme"))
	for _, message := range messages {
		var event struct{ ReferenceID string }
		require.NoError(f.t, json.Unmarshal(message.Data(), &event))
		seen[event.ReferenceID] = true
	}
	require.Len(f.t, seen, contacts)
	require.Len(f.t, messages, contacts, "each once")
}

// decideAboutDifferences has each side change a contact that both have. Virtuous is right: a person decides about the platform's change, and the
// platform takes that of Virtuous.
func (f *fixture) decideAboutDifferences() {
	f.t.Helper()
	f.start(programWriteback)
	differs := func(state string) bool {
		return f.count(`SELECT count(*) FROM contact_differences WHERE field = 'email' AND state = $1`, state) == 1
	}
	id := f.count(`SELECT virtuous_contact_id FROM virtuous_contact_queue WHERE reference_id = 'created-1'`)
	f.publish(bus.SubjectContact("acme"), map[string]any{
		"customerId": "acme", "referenceId": "created-1", "firstName": "Ana", "lastName": "Ruiz", "email": "new@donor.example",
		"modifiedAt": "2026-02-21T22:00:00Z",
	})
	f.await(longest, "a person has to decide", func() bool { return differs("conflict") })
	require.Equal(f.t, "created-1@donor.example", f.emailAtVirtuous(id), "nothing is written")
	var items operatorapi.ReviewsReply
	code, text := f.askService("review", "ls", operatorapi.ReviewsQuestion{CustomerID: "acme", Kind: "contact"}, &items)
	require.Empty(f.t, code, text)
	require.Len(f.t, items.Items, 1)
	require.Equal(f.t, "partner_change", items.Items[0].Reason)
	var settled operatorapi.ReviewItem
	decision := operatorapi.ReviewDecision{CustomerID: "acme", ItemID: items.Items[0].ID, Decision: "take-partner"}
	code, text = f.askService("review", "resolve", decision, &settled)
	require.Empty(f.t, code, text)
	f.await(longest, "it is written", func() bool { return differs("settled") })
	require.Equal(f.t, "new@donor.example", f.emailAtVirtuous(id))

	f.control(http.MethodPut, ofAcme+"/settings", map[string]any{"webhooks": map[string]any{"loss": 0}}, nil)
	f.control(http.MethodPut, fmt.Sprintf("%s/contacts/%d", ofAcme, id), map[string]any{"phone": "555-010-0177", "lastName": "Gomez"}, nil)
	f.await(longest, "the platform is asked to take the name", func() bool {
		return f.count(`SELECT count(*) FROM contact_differences WHERE field = 'name' AND state = 'partner_pending'`) == 1
	})
	require.Equal(f.t, 1, f.count(`SELECT count(*) FROM contact_differences WHERE state <> 'settled'`), "the platform has no phone number")
	f.requireContactTraced("partner_pending", "created-1")
	f.publish(bus.SubjectApplied("acme"), map[string]any{"customerId": "acme", "referenceId": "created-1"})
	f.await(longest, "the platform has it, and was compared again", func() bool {
		return f.count(`SELECT count(*) FROM contact_differences WHERE state <> 'settled'`)+
			f.count(`SELECT count(*) FROM virtuous_contact_queue WHERE compare_wanted_at IS NOT NULL`) == 0
	})
	f.requireContactTraced("contact_confirmed", "created-1")
	require.NotEmpty(f.t, f.events(bus.StreamEvents, bus.SubjectEvent("contact.differs", "acme")))
}

// emailAtVirtuous returns the primary email address of a contact.
func (f *fixture) emailAtVirtuous(id int) string {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, fmt.Sprintf("%s/virtuous/api/Contact/%d", f.sandbox, id), nil)
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer v_acme")
	var contact struct {
		ContactIndividuals []struct {
			ContactMethods []struct{ Type, Value string }
		}
	}
	f.do(request, &contact)
	require.Len(f.t, contact.ContactIndividuals, 1)
	for _, method := range contact.ContactIndividuals[0].ContactMethods {
		if strings.Contains(method.Type, "Email") {
			return method.Value
		}
	}
	return ""
}
