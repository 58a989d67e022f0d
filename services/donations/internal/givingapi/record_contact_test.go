package givingapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/virtuous"
)

// openDataKey makes the customer's data key, with which what is applied is sealed.
func (f *fixture) openDataKey(t testing.TB) {
	t.Helper()
	_, err := f.Vault.Seal(t.Context(), customer, "any", nil)
	require.NoError(t, err)
}

func (f *fixture) logged(t testing.TB) string {
	t.Helper()
	return value[string](t, f, `SELECT coalesce(string_agg(concat_ws(' ', category, resolution, entity, platform_record_id, virtuous_record_id), ', '
		ORDER BY id), '') FROM virtuous_reconciliation_log`)
}

func TestRecordOfAPlatformsContactWaitsFor48HoursAndThenNamesTheBucket(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "donor-1", fmt.Sprintf(submittedAt, "47 hours 59 minutes", "47 hours 59 minutes"))
	f.addContact(t, "donor-2", fmt.Sprintf(submittedAt, "48 hours 1 minute", "48 hours 1 minute"))
	f.requireCause(t, record.ContactSubmittedWaits, "contact", "donor-1", true)
	f.requireCause(t, record.ContactSubmittedImportNotRun, "contact", "donor-2", true)
	f.exec(t, `UPDATE virtuous_contact_queue SET status = 'confirmed', confirmed_at = now(), virtuous_contact_id = 900, submitted_at = (SELECT submitted_at
		FROM virtuous_contact_queue WHERE reference_id = 'donor-2') WHERE reference_id = 'donor-1'`)
	f.requireCause(t, record.ContactSubmittedNeedsMatch, "contact", "donor-2", true)
	require.Equal(t, "submitted", f.statusOf(t, "donor-2"), "a 404 changes nothing, also with --fix")
}

// The contact that Virtuous has is applied only with --fix, whatever its transaction is, and is then found by both of its ids.
func TestRecordOfAPlatformsContactIsFixedOnlyIfItIsAskedTo(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"pending": unanswered, "submitted": fmt.Sprintf(submittedAt, "3 days", "3 days"), "in review": inReview, "failed": failed,
		"closed": `status = 'closed', next_attempt_at = NULL, close_reason = 'discarded'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.openDataKey(t)
			f.addContact(t, "donor-1", change)
			before := f.statusOf(t, "donor-1")
			f.contactsKnown[55] = parsedContact(t, 55, "donor-1", "Ana Ruiz")
			missed := f.requireCause(t, record.MissedWebhook, "contact", "donor-1", false)
			require.Equal(t, "rollcall record acme contact donor-1 --fix", *missed.Cause.Command)
			require.Equal(t, before, f.statusOf(t, "donor-1"))
			require.Empty(t, f.logged(t))
			require.Zero(t, value[int](t, f, `SELECT count(*) FROM partner_contacts`))

			fixed := f.trace(t, "contact", "donor-1", true).Traces[0]
			require.Equal(t, "the platform's contact was confirmed by Virtuous' contact", *fixed.Fixed)
			require.Equal(t, "confirmed", *fixed.State)
			require.Contains(t, f.statusOf(t, "donor-1"), "confirmed operator_lookup")
			require.Equal(t, "stuck auto_recovered contact donor-1 55", f.logged(t))
			again := f.trace(t, "contact", "donor-1", true).Traces[0]
			require.Nil(t, again.Fixed)
			byID := f.trace(t, "contact", "55", true).Traces
			require.Len(t, byID, 1)
			require.Equal(t, operatorapi.FoundAsContact, *byID[0].FoundAs)
			require.Equal(t, "donor-1", *byID[0].PlatformRecordID)
			require.Equal(t, again.Cause.Code, byID[0].Cause.Code)
			require.Equal(t, "stuck auto_recovered contact donor-1 55", f.logged(t), "what is known is not applied again")
		})
	}
}

func TestRecordOfAPlatformsContactSaysWhetherItsNewestVersionIsAtVirtuous(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.openDataKey(t)
	f.contactsKnown[55] = parsedContact(t, 55, "donor-1", "Ana Ruiz")
	f.addContact(t, "donor-1", `sent_hash = content_hash, `+fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.requireCause(t, record.ContactConfirmed, "contact", "donor-1", true)
	f.exec(t, `UPDATE virtuous_contact_queue SET compare_wanted_at = now()`)
	waits := f.requireCause(t, record.ContactCompareWaits, "contact", "55", false)
	require.Equal(t, "rollcall contact show acme donor-1 --reference", *waits.Cause.Command)
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed,
		partner_published_at, body_sealed, content_hash, confirmed_at, virtuous_contact_id, created_at, status_at, updated_at)
		SELECT customer_id, reference_source, 'donor-2', status, transaction_source, '', now(), '', '', now(), 55, now(), now(), now() FROM virtuous_contact_queue`)
	newest := f.requireCause(t, record.ContactConfirmed, "contact", "55", false)
	require.Equal(t, "donor-2", *newest.PlatformRecordID)
	require.Contains(t, newest.Timeline, hopNamed(t, newest, "the platform's contact donor-1 is this contact, too"))
}

func hopNamed(t testing.TB, trace operatorapi.Trace, text string) operatorapi.TraceHop {
	t.Helper()
	for _, hop := range trace.Timeline {
		if hop.Text == text {
			return hop
		}
	}
	require.Fail(t, "no such hop", "%s in %+v", text, trace.Timeline)
	return operatorapi.TraceHop{}
}

// A reference that looks like an id of Virtuous, and is that of another contact there, means two records.
func TestRecordOfAReferenceThatIsAlsoAnIDIsTracedTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.openDataKey(t)
	f.contactsKnown[310] = parsedContact(t, 310, "donor-9", "Ana Ruiz")
	f.requireCause(t, record.ContactKnown, "contact", "donor-9", true)
	f.addContact(t, "310", failed)
	traces := f.trace(t, "contact", "310", true).Traces
	require.Len(t, traces, 2)
	require.Equal(t, operatorapi.FoundAsContact, *traces[0].FoundAs)
	require.Equal(t, string(record.ContactKnown), traces[0].Cause.Code)
	require.Equal(t, operatorapi.FoundAsReference, *traces[1].FoundAs)
	require.Equal(t, string(record.ContactFailed), traces[1].Cause.Code)
	require.Equal(t, "failed", f.statusOf(t, "310"))
}

// A contact is looked up under the source under which it was sent, also if the customer's source is another one by now.
func TestRecordOfAPlatformsContactIsLookedUpUnderItsSource(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "donor-1", `transaction_source = 'OldGive', reference_source = 'oldgive', `+fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.contactsKnown[55] = parsedContact(t, 55, "donor-1", "Ana Ruiz") // of AcmeGive
	f.requireCause(t, record.ContactSubmittedImportNotRun, "contact", "donor-1", true)
}

func TestRecordOfAPlatformsContactShowsAttemptsDecisionsLettersAndDeliveries(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.openDataKey(t)
	f.addContact(t, "donor-1", failed+`,
		attempt_log = '[{"at":"2026-11-20T08:00:00Z","verdict":"refused","status":422,"requestId":"r-17","error":"status 422: email"}]'`)
	filter, err := operatoraudit.FilterOf(operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: "donor-1", Reason: "for Ana Ruiz"})
	require.NoError(t, err)
	f.exec(t, `INSERT INTO operator_audit (at, operator, via, verb, customer_id, filter, outcome)
		VALUES (now(), 'ana@ops-1', 'api', 'contacts.retry', 'acme', $1, 'done')`, filter)
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, origin, job, error_code, error_class, state, first_failed_at,
		last_failed_at, reason) VALUES ('1f0c9a72-0000-4000-8000-000000000001', 'acme', 'contact', 'donor-1', 's', 'o', 'contact_capture', 'contact_invalid',
		'permanent', 'review', now(), now(), 'email: must be an address'), ('1f0c9a72-0000-4000-8000-000000000002', 'acme', 'contact', 'donor-2', 's', 'o2',
		'contact_capture', 'contact_invalid', 'permanent', 'review', now(), now(), 'email: must be an address')`)
	trace := f.requireCause(t, record.ContactFailed, "contact", "donor-1", true)
	attempt := hopNamed(t, trace, "sent: Virtuous rejected it")
	require.Equal(t, 422, *attempt.Status)
	require.Equal(t, "r-17", *attempt.RequestID)
	require.Equal(t, "ana@ops-1", *hopNamed(t, trace, "contacts.retry: done").By)
	require.Equal(t, "rollcall contact retry acme donor-1", *trace.Cause.Command)
	f.exec(t, `UPDATE virtuous_contact_queue SET status = 'pending', next_attempt_at = now(), last_error = NULL`)
	f.requireCause(t, record.ContactVersionRejected, "contact", "donor-1", true)
	rejected := f.requireCause(t, record.ContactNotCaptured, "contact", "donor-2", true)
	require.Contains(t, rejected.Cause.Text, "email: must be an address")
	require.Equal(t, "rollcall dlq show 1f0c9a72-0000-4000-8000-000000000002", *rejected.Cause.Command)

	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'superseded'`)
	keys, err := inbox.OpenKeys(t.Context(), f.Vault, customer, "1")
	require.NoError(t, err)
	part, err := inbox.Part{
		Customer: customer, Event: "contact_create", Records: 1, ReceivedAt: time.Now(),
		Body: []byte(`{"event":"ContactCreate","models":[{"contact":{"id":55,"contactType":"Household","name":"Ana Ruiz","contactIndividuals":[],
			"contactReferences":[{"source":"AcmeGive","id":"donor-1"}],"mergedIntoContactId":null,"modifiedDateTimeUtc":"2026-11-20T08:00:00"}}]}`),
	}.Message(keys)
	require.NoError(t, err)
	_, err = inbox.Add(t.Context(), f.Store.Conn, part)
	require.NoError(t, err)
	f.requireCause(t, record.WebhookWaits, "contact", "donor-1", true)
	require.Equal(t, "pending", f.statusOf(t, "donor-1"), "it is applied by itself")
}

// What Virtuous answers besides a contact and a 404 says nothing, and what keeps it from being asked is named.
func TestRecordOfAPlatformsContactSaysWhyVirtuousWasNotAsked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "donor-1", fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.addContact(t, "donor-2", "")
	f.contactFault = fault.Unknown("virtuous_5xx", virtuous.ErrUnavailable)
	require.Contains(t, *f.requireCause(t, record.ContactSubmittedUnasked, "contact", "donor-1", true).Lookup.Reason, "not available")
	f.lookups = 0
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	require.Contains(t, f.requireCause(t, record.ContactSubmittedUnasked, "contact", "donor-1", true).Cause.Text, "paused")
	f.requireCause(t, record.PendingPaused, "contact", "donor-2", true)
	f.exec(t, `UPDATE sync_configs SET offboarded_at = now()`)
	f.requireCause(t, record.Offboarded, "contact", "donor-1", true)
	require.Zero(t, f.lookups)
}
