package givingapi

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// giftJSON is a gift of a donation as Virtuous returns it.
func giftJSON(id int64, donation, amount string) []byte {
	return fmt.Appendf(nil, `{"id":%d,"contactId":5,"transactionSource":"AcmeGive","transactionId":%q,"giftType":"Cash","giftDate":"2026-11-20T00:00:00",
		"amount":%q,"currencyCode":"USD","giftDesignations":[],"modifiedDateTimeUtc":"2026-11-20T08:00:00"}`, id, donation, amount)
}

func parsedGift(t testing.TB, id int64, donation, amount string) virtuous.Gift {
	t.Helper()
	gift, err := virtuous.ParseGift(giftJSON(id, donation, amount))
	require.NoError(t, err)
	return gift
}

func parsedContact(t testing.TB, id int64, reference, name string) virtuous.Contact {
	t.Helper()
	contact, err := virtuous.ParseContact(fmt.Appendf(nil, `{"id":%d,"contactType":"Household","name":%q,"contactIndividuals":[],
		"contactReferences":[{"source":"AcmeGive","id":%q}],"mergedIntoContactId":null,"modifiedDateTimeUtc":"2026-11-20T08:00:00"}`, id, name, reference))
	require.NoError(t, err)
	return contact
}

func (f *fixture) trace(t testing.TB, kind, id string, fix bool) operatorapi.TraceReply {
	t.Helper()
	answer := f.showRecord
	if fix {
		answer = f.fixRecord
	}
	reply, err := answer(t.Context(), operatorapi.TraceQuestion{CustomerID: customer, Kind: kind, RecordID: id})
	require.NoError(t, err)
	require.NotEmpty(t, reply.Traces)
	encoded, err := json.Marshal(reply)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "Ruiz")
	require.NotContains(t, string(encoded), "125.00")
	return reply
}

func (f *fixture) requireCause(t testing.TB, cause record.Cause, kind, id string, fix bool) operatorapi.Trace {
	t.Helper()
	reply := f.trace(t, kind, id, fix)
	require.Len(t, reply.Traces, 1)
	require.Equal(t, string(cause), reply.Traces[0].Cause.Code)
	return reply.Traces[0]
}

const submittedAt = `status = 'submitted', next_attempt_at = NULL, attempts = 1, submitted_at = now() - interval '%s', unanswered_since = now() - interval '%s'`

func TestRecordOfADonationWithoutAGiftWaitsFor48HoursAndThenNamesTheBucket(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", fmt.Sprintf(submittedAt, "47 hours 59 minutes", "47 hours 59 minutes"))
	f.add(t, "don-2", fmt.Sprintf(submittedAt, "48 hours 1 minute", "48 hours 1 minute"))
	f.requireCause(t, record.SubmittedWaits, "gift", "don-1", true)
	f.requireCause(t, record.SubmittedImportNotRun, "gift", "don-2", true)
	f.exec(t, `UPDATE virtuous_donation_queue SET status = 'confirmed', confirmed_at = now(), virtuous_gift_id = 900, submitted_at = (SELECT submitted_at
		FROM virtuous_donation_queue WHERE platform_donation_id = 'don-2') WHERE platform_donation_id = 'don-1'`)
	f.requireCause(t, record.SubmittedNeedsMatch, "gift", "don-2", true)
	require.Equal(t, "submitted", value[string](t, f, `SELECT status FROM virtuous_donation_queue WHERE platform_donation_id = 'don-2'`))
}

func TestRecordOfALostWebhookIsFixedOnlyIfItIsAskedTo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.answer = func(source, id string) (virtuous.Gift, error) {
		require.Equal(t, []string{"AcmeGive", "don-1"}, []string{source, id})
		return parsedGift(t, 901, "don-1", "125.00"), nil
	}
	f.known[901] = parsedGift(t, 901, "don-1", "125.00")
	before := f.requireCause(t, record.MissedWebhook, "gift", "don-1", false)
	require.True(t, before.Cause.Fixable)
	require.Equal(t, "rollcall record acme gift don-1 --fix", *before.Cause.Command)
	require.Equal(t, "submitted", value[string](t, f, `SELECT status FROM virtuous_donation_queue`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM virtuous_reconciliation_log`))

	after := f.requireCause(t, record.Confirmed, "gift", "don-1", true)
	require.Equal(t, "the donation was confirmed by its gift", *after.Fixed)
	require.Equal(t, "confirmed operator_lookup", value[string](t, f, `SELECT status || ' ' || recovery_path FROM virtuous_donation_queue`))
	require.Equal(t, "stuck auto_recovered donation don-1 901", value[string](t, f,
		`SELECT concat_ws(' ', category, resolution, entity, platform_record_id, virtuous_record_id) FROM virtuous_reconciliation_log`))
	f.requireCause(t, record.Confirmed, "gift", "don-1", true)
	byGift := f.requireCause(t, record.Confirmed, "gift", "901", true)
	require.Equal(t, operatorapi.FoundAsGift, *byGift.FoundAs)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM virtuous_reconciliation_log`), "what is known is not applied again")

	f.known[901] = parsedGift(t, 901, "don-1", "130.00")
	differs := f.requireCause(t, record.ValuesDiffer, "gift", "901", false)
	require.Equal(t, []string{"amount"}, differs.Lookup.ChangedFields)
	f.requireCause(t, record.Confirmed, "gift", "901", true)
	require.Equal(t, "130", value[string](t, f, `SELECT amount::text FROM partner_gifts`))

	delete(f.known, 901)
	f.requireCause(t, record.DeletionMissed, "gift", "don-1", false)
	require.Equal(t, "the deletion was applied", *f.requireCause(t, record.GiftDeleted, "gift", "don-1", true).Fixed)
	require.Equal(t, "missed_webhook applied_inbound gift", value[string](t, f,
		`SELECT concat_ws(' ', category, resolution, entity) FROM virtuous_reconciliation_log ORDER BY id DESC LIMIT 1`))
}

func TestRecordSaysWhyVirtuousWasNotAskedAndAnswersFromTheTables(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", "")
	f.add(t, "don-2", fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.answer = func(string, string) (virtuous.Gift, error) {
		return virtuous.Gift{}, fault.Unknown("virtuous_5xx", virtuous.ErrUnavailable)
	}
	require.Contains(t, *f.requireCause(t, record.SubmittedUnasked, "gift", "don-2", true).Lookup.Reason, "not available")
	f.lookups = 0
	for _, one := range []struct {
		change, why string
		cause       record.Cause
	}{
		{`INSERT INTO giving_holds (customer_id, reason, holds, since, noted_at, until)
			SELECT 'acme', 'virtuous_forbidden', 1, now(), now() AS noted_at, now() + interval '1 hour'`, "held", record.PendingForbidden},
		{`UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`, "API key", record.PendingAuthFailed},
		{`UPDATE sync_configs SET paused_at = now()`, "paused", record.PendingPaused},
		{`UPDATE sync_configs SET offboarded_at = now()`, "offboarded", record.Offboarded},
	} {
		f.exec(t, one.change)
		trace := f.requireCause(t, one.cause, "gift", "don-1", true)
		require.Equal(t, operatorapi.LookupNotAsked, trace.Lookup.Outcome)
		require.Contains(t, *trace.Lookup.Reason, one.why)
	}
	require.Zero(t, f.lookups)
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL, offboarded_at = NULL, active_since = now() + interval '1 second'`)
	f.exec(t, `UPDATE virtuous_configs SET enabled = true, disabled_reason = NULL`)
	f.requireCause(t, record.PendingTurn, "gift", "don-1", true) // the hold ended when the customer became active again
	_, err := f.showRecord(t.Context(), operatorapi.TraceQuestion{CustomerID: "globex", Kind: "gift", RecordID: "don-1"})
	require.ErrorIs(t, err, store.ErrNotFound)
	for _, wrong := range []operatorapi.TraceQuestion{
		{CustomerID: customer, Kind: "pledge", RecordID: "1"}, {CustomerID: customer, Kind: "gift"}, {CustomerID: customer, Kind: "gift", RecordID: "a\x00"},
	} {
		_, err := f.showRecord(t.Context(), wrong)
		var fields *service.FieldsError
		require.ErrorAs(t, err, &fields)
	}
}

func TestRecordOfAnIDThatIsBothIsTracedTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "901", failed)
	f.add(t, "don-2", `status = 'confirmed', next_attempt_at = NULL, submitted_at = now(), confirmed_at = now(), virtuous_gift_id = 901`)
	f.known[901] = parsedGift(t, 901, "don-2", "125.00")
	reply := f.trace(t, "gift", "901", false)
	require.Len(t, reply.Traces, 2)
	require.Equal(t, operatorapi.FoundAsDonation, *reply.Traces[0].FoundAs)
	require.Equal(t, string(record.Failed), reply.Traces[0].Cause.Code)
	require.Equal(t, operatorapi.FoundAsGift, *reply.Traces[1].FoundAs)
	require.Equal(t, "don-2", *reply.Traces[1].PlatformRecordID)
}

func TestRecordFindsDeliveriesThatAreNotApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", fmt.Sprintf(submittedAt, "3 days", "3 days"))
	f.answer = func(string, string) (virtuous.Gift, error) { return parsedGift(t, 901, "don-1", "125.00"), nil }
	keys, err := inbox.OpenKeys(t.Context(), f.Vault, customer, "1")
	require.NoError(t, err)
	partOf := func(id int64) *rollcallv1.WebhookPart {
		part, err := inbox.Part{
			Customer: customer, Event: "gift_create", Records: 1, ReceivedAt: time.Now(),
			Body: []byte(`{"event":"GiftCreate","models":[{"gift":` + string(giftJSON(id, "don-1", "125.00")) + `}]}`),
		}.Message(keys)
		require.NoError(t, err)
		return part
	}
	for _, id := range []int64{900, 901} {
		added, err := inbox.Add(t.Context(), f.Store.Conn, partOf(id))
		require.NoError(t, err)
		require.True(t, added)
	}
	f.requireCause(t, record.WebhookWaits, "gift", "don-1", true)
	require.Equal(t, "submitted", value[string](t, f, `SELECT status FROM virtuous_donation_queue`), "it is applied by itself")

	letter, err := inbox.UnreadableLetter(t.Context(), f.Vault, partOf(901))
	require.NoError(t, err)
	require.Equal(t, bus.SubjectWebhooks(customer), letter.Subject)
	require.NoError(t, f.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.AddMessageLetter(ctx, letter)
		return err
	}))
	f.answer = func(string, string) (virtuous.Gift, error) {
		return virtuous.Gift{}, fault.Unknown("virtuous_5xx", virtuous.ErrUnavailable)
	}
	trace := f.requireCause(t, record.WebhookLetter, "gift", "don-1", true)
	require.Equal(t, "rollcall dlq retry "+letter.ID.String(), *trace.Cause.Command)
}

func TestRecordOfAContactIsFoundByBothIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", "")
	f.requireCause(t, record.ContactUnknown, "contact", "donor-310", true)
	f.contactsKnown[55] = parsedContact(t, 55, "donor-310", "Ana Ruiz")
	f.requireCause(t, record.MissedWebhook, "contact", "donor-310", false)
	fixed := f.requireCause(t, record.ContactKnown, "contact", "donor-310", true)
	require.Equal(t, "Virtuous' contact was applied", *fixed.Fixed)
	require.Equal(t, "missed_webhook applied_inbound contact 55", value[string](t, f,
		`SELECT concat_ws(' ', category, resolution, entity, virtuous_record_id) FROM virtuous_reconciliation_log`))
	require.Equal(t, operatorapi.FoundAsReference, *f.requireCause(t, record.ContactKnown, "contact", "donor-310", false).FoundAs)
	require.Equal(t, operatorapi.FoundAsContact, *f.requireCause(t, record.ContactKnown, "contact", "55", false).FoundAs)
	f.contactsKnown[55] = parsedContact(t, 55, "donor-310", "Ana Ruiz-Vega")
	require.Equal(t, []string{"name"}, f.requireCause(t, record.ValuesDiffer, "contact", "55", false).Lookup.ChangedFields)
	f.requireCause(t, record.ContactKnown, "contact", "55", true)
	delete(f.contactsKnown, 55)
	f.requireCause(t, record.ContactGone, "contact", "55", true)
	f.exec(t, `UPDATE partner_contacts SET state = 'archived'`)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, merged_into, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 54, 'merged', 55, '', '', now(), now())`)
	f.contactsKnown[54] = parsedContact(t, 54, "donor-309", "Ana Ruiz")
	require.Equal(t, "rollcall record acme contact 55", *f.requireCause(t, record.ContactMerged, "contact", "54", false).Cause.Command)
}

func TestRecordOfALetterNamesItsFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, origin, job, error_code, error_class, state, first_failed_at,
		last_failed_at, reason) VALUES ('1f0c9a72-0000-4000-8000-000000000001', 'acme', 'donation', 'don-1', 's', 'o', 'donation_capture', 'donation_invalid',
		'permanent', 'review', now(), now(), 'amount: must be above 0')`)
	trace := f.requireCause(t, record.NotCaptured, "gift", "don-1", true)
	require.Contains(t, trace.Cause.Text, "amount: must be above 0")
	require.Equal(t, "rollcall dlq show 1f0c9a72-0000-4000-8000-000000000001", *trace.Cause.Command)
	f.requireCause(t, record.Unknown, "gift", "don-9", true)
}
