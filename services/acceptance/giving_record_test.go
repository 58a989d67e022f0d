package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/testkit"
)

// traced is `rollcall record --json` of one record; it requires that the command's exit status says whether something has to be done.
func (f *fixture) traced(kind, id string, more ...string) operatorapi.Trace {
	f.t.Helper()
	args := append([]string{"record", "acme", kind, id, "--json"}, more...)
	command := testkit.Program(f.t, programRollcall, testkit.ProgramConfig{Args: args, Env: map[string]string{"NATS_URL": f.nats.URL}})
	code, out := command.Wait(), command.Output()
	var reply operatorapi.TraceReply
	require.NoError(f.t, json.NewDecoder(strings.NewReader(out)).Decode(&reply), out) // what follows is on standard error
	require.Len(f.t, reply.Traces, 1)
	trace := reply.Traces[0]
	require.Equal(f.t, trace.Cause.State == operatorapi.CauseAct, code == 1, "exit status %d with %s", code, trace.Cause.Code)
	require.NotContains(f.t, out, "Ruiz")
	require.NotContains(f.t, out, "donor.example")
	require.NotEmpty(f.t, trace.Cause.Next)
	return trace
}

func (f *fixture) requireTraced(cause, kind, id string, more ...string) operatorapi.Trace {
	f.t.Helper()
	trace := f.traced(kind, id, more...)
	require.Equal(f.t, cause, trace.Cause.Code, "%s %s: %s", kind, id, trace.Cause.Text)
	return trace
}

// Each donation fails in its own way, in the services as they run and before the sandbox's Virtuous.
func TestRecordNamesCauseAndNextActionOfEachFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.giving(map[string]any{"imports": "manual"})
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "virtuous", "org": "acme", "operation": "transaction", "kind": "status", "status": 422, "records": []string{"rejected"},
	}, nil)
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "virtuous", "org": "acme", "operation": "transaction", "kind": "status", "status": 503, "records": []string{"retried"},
	}, nil)
	for _, id := range []string{"rejected", "retried", "waiting", "bucket", "imported", "lost"} {
		f.donate(id, "125.00")
	}
	f.publish(bus.SubjectDonation("acme"), map[string]any{"customerId": "acme", "platformDonationId": "invalid", "amount": "-1"})
	f.await(longest, "Virtuous has answered", func() bool { return f.donations("submitted") == 4 && f.donations("failed") == 1 })
	f.await(longest, "the invalid one has a letter", func() bool { return f.count(`SELECT count(*) FROM dead_letters WHERE record_id = 'invalid'`) == 1 })

	f.requireTraced("not_captured", "gift", "invalid")
	f.requireTraced("unknown_everywhere", "gift", "never-published")
	rejected := f.requireTraced("failed", "gift", "rejected")
	require.Equal(t, "rollcall donation retry acme rejected", *rejected.Cause.Command)
	require.Contains(t, statuses(rejected), 422)
	f.await(longest, "the other is put off", func() bool { return f.traced("gift", "retried").Cause.Code == "pending_retried" })
	require.Contains(t, statuses(f.traced("gift", "retried")), 503)
	f.requireTraced("submitted_waits", "gift", "waiting")
	f.late("bucket")
	f.requireTraced("submitted_import_not_run", "gift", "bucket")
	f.recordAfterTheImport()
	f.operator("donation", "close", "acme", "rejected", "--reason", "entered by hand")
	f.requireTraced("closed", "gift", "rejected")
	f.recordOfChangedContacts()
	f.recordAfterReviews()
	f.recordOfCustomersThatWait()
}

// statuses returns those of a trace's attempts.
func statuses(trace operatorapi.Trace) (found []int) {
	for _, hop := range trace.Timeline {
		if hop.Hop == "attempt" && hop.Status != nil {
			found = append(found, *hop.Status)
		}
	}
	return found
}

// late has a donation be submitted four days ago.
func (f *fixture) late(id string) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), `UPDATE virtuous_donation_queue SET submitted_at = submitted_at - interval '4 days' WHERE platform_donation_id = $1`, id)
	require.NoError(f.t, err)
}

// recordAfterTheImport runs the import of some donations, of which one webhook is lost, and changes gifts without a webhook.
func (f *fixture) recordAfterTheImport() {
	f.t.Helper()
	f.control(http.MethodPost, ofAcme+"/transactions:discard", map[string]any{"source": "AcmeGive", "ids": []string{"waiting", "bucket"}}, nil)
	f.control(http.MethodPut, ofAcme+"/settings", map[string]any{"webhooks": map[string]any{"loss": 1}}, nil)
	f.control(http.MethodPut, "/control/clock", map[string]any{"advanceSeconds": 24 * 60 * 60}, nil)
	f.control(http.MethodPost, ofAcme+"/imports:run", map[string]any{}, nil)
	for _, id := range []string{"imported", "lost"} {
		f.requireTraced("missed_webhook", "gift", id)
	}
	require.Equal(f.t, 4, f.donations("submitted"), "nothing is changed without --fix")
	fixed := f.requireTraced("confirmed", "gift", "lost", "--fix")
	require.Equal(f.t, "the donation was confirmed by its gift", *fixed.Fixed)
	f.requireTraced("confirmed", "gift", "imported", "--fix")
	f.late("imported")
	f.requireTraced("submitted_match_needed", "gift", "bucket")
	gift := strconv.FormatInt(*fixed.VirtuousRecordID, 10)
	f.requireTraced("confirmed", "gift", gift)

	f.control(http.MethodPut, ofAcme+"/gifts/"+gift, map[string]any{"amount": "130.00"}, nil)
	require.Contains(f.t, f.requireTraced("values_differ", "gift", gift).Lookup.ChangedFields, "amount")
	f.requireTraced("confirmed", "gift", gift, "--fix")
	f.control(http.MethodDelete, ofAcme+"/gifts/"+gift, nil, nil)
	f.requireTraced("gift_deletion_missed", "gift", gift)
	f.requireTraced("gift_deleted", "gift", gift, "--fix")

	f.requireTraced("missed_webhook", "contact", "donor-imported")
	contact := f.requireTraced("contact_known", "contact", "donor-imported", "--fix")
	f.requireTraced("contact_known", "contact", strconv.FormatInt(*contact.VirtuousRecordID, 10))
	require.Equal(f.t, 5, f.count(`SELECT count(*) FROM virtuous_reconciliation_log`))
}

// recordOfChangedContacts merges a contact into another one, without webhooks, and reverses a gift.
func (f *fixture) recordOfChangedContacts() {
	f.t.Helper()
	f.requireTraced("contact_known", "contact", "donor-lost", "--fix")
	contact, gift := f.traced("contact", "donor-imported"), f.traced("gift", "imported")
	of := strconv.FormatInt(*contact.VirtuousRecordID, 10)
	var reversal struct{ ID int64 }
	f.control(http.MethodPost, ofAcme+"/gifts/"+strconv.FormatInt(*gift.VirtuousRecordID, 10)+"/reverse", map[string]any{}, &reversal)
	f.requireTraced("missed_webhook", "gift", strconv.FormatInt(reversal.ID, 10))
	f.requireTraced("gift_reversed", "gift", strconv.FormatInt(reversal.ID, 10), "--fix")
	f.control(http.MethodPut, ofAcme+"/contacts/"+of, map[string]any{"mergedIntoContactId": *f.traced("contact", "donor-lost").VirtuousRecordID}, nil)
	require.Equal(f.t, []string{"mergedIntoContactId"}, f.requireTraced("values_differ", "contact", of).Lookup.ChangedFields)
	merged := f.requireTraced("contact_merged", "contact", of, "--fix")
	require.Regexp(f.t, `^rollcall record acme contact \d+$`, *merged.Cause.Command)
	_, err := f.pool.Exec(f.t.Context(), `UPDATE partner_gifts SET sync_state = 'conflict' WHERE platform_donation_id = 'imported'`)
	require.NoError(f.t, err)
	require.Contains(f.t, *f.requireTraced("conflict", "gift", "imported").Cause.Command, "rollcall review ls acme")
}

// recordAfterReviews has the reconciler find what is not there after days.
func (f *fixture) recordAfterReviews() {
	f.t.Helper()
	f.start(programReconciler, f.toVirtuous())
	f.await(longest, "it needs review", func() bool {
		return f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE status = 'needs_review' AND platform_donation_id = 'bucket'`) == 1
	})
	reviewed := f.requireTraced("review_match_needed", "gift", "bucket")
	require.Contains(f.t, hopsOf(reviewed), "reconciliation")
}

func hopsOf(trace operatorapi.Trace) (hops []string) {
	for _, hop := range trace.Timeline {
		hops = append(hops, hop.Hop)
	}
	return hops
}

// recordOfCustomersThatWait traces a donation while its customer is paused, and while its key is rejected.
func (f *fixture) recordOfCustomersThatWait() {
	f.t.Helper()
	f.operator("pause", "acme")
	f.donate("paused", "125.00")
	f.await(longest, "it is captured", func() bool {
		return f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE platform_donation_id = 'paused'`) == 1
	})
	paused := f.requireTraced("pending_paused", "gift", "paused")
	require.Equal(f.t, operatorapi.LookupNotAsked, paused.Lookup.Outcome)
	require.Equal(f.t, "rollcall resume acme", *paused.Cause.Command)
	f.control(http.MethodPut, ofAcme+"/key", map[string]any{"state": "forbidden"}, nil)
	f.operator("resume", "acme")
	f.await(longest, "the key may do nothing", func() bool { return f.traced("gift", "paused").Cause.Code == "pending_forbidden" })
	f.operator("pause", "acme")
	f.control(http.MethodPut, ofAcme+"/key", map[string]any{"state": "revoked"}, nil)
	f.operator("resume", "acme")
	f.await(longest, "the key is rejected", func() bool { return f.traced("gift", "paused").Cause.Code == "pending_auth_failed" })
	f.publish(bus.SubjectOffboard("acme"), map[string]any{"customerId": "acme", "force": true})
	f.await(longest, "the customer is offboarded", func() bool { return f.traced("gift", "paused").Cause.Code == "customer_offboarded" })
}

// A user's trace needs no Virtuous; its fix reads the user from VOMO.
func TestRecordOfAUserIsFixedByReadingItFromVOMO(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 20)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	var id string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT min(vomo_user_id) FROM user_mappings`).Scan(&id))
	f.requireTraced("user_mirrored", "user", id)
	_, err := f.pool.Exec(t.Context(), `DELETE FROM user_mappings WHERE vomo_user_id = $1`, id)
	require.NoError(t, err)
	f.requireTraced("user_unknown", "user", id)
	fixed := f.requireTraced("user_mirrored", "user", id, "--fix")
	require.Contains(t, *fixed.Fixed, "written")
	f.requireTraced("user_unknown", "user", "no-such-user")
}
