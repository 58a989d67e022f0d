package givingapi

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// addContact adds a contact of the platform that is pending, and changes its row.
func (f *fixture) addContact(t testing.TB, reference, change string) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, next_attempt_at, created_at, status_at, updated_at)
		VALUES ('acme', 'acmegive', $1, 'pending', 'AcmeGive', '', now(), '', '', now(), now(), now(), now())`, reference)
	if change != "" {
		f.exec(t, `UPDATE virtuous_contact_queue SET `+change+` WHERE reference_id = $1`, reference)
	}
}

func (f *fixture) statusOf(t testing.TB, reference string) string {
	t.Helper()
	return value[string](t, f, `SELECT concat_ws(' ', status, recovery_path, close_reason) FROM virtuous_contact_queue WHERE reference_id = $1`, reference)
}

func TestContactsOfThePlatformAreListedByStateAndShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "donor-1", failed)
	f.addContact(t, "donor-2", "")
	listed, err := f.contactTransactions(t.Context(), operatorapi.ContactTransactionsQuestion{CustomerID: customer, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "donor-2", listed.Contacts[0].ReferenceID)
	require.NotNil(t, listed.Next)
	listed, err = f.contactTransactions(t.Context(), operatorapi.ContactTransactionsQuestion{CustomerID: customer, State: "failed"})
	require.NoError(t, err)
	require.Len(t, listed.Contacts, 1)
	_, err = f.contactTransactions(t.Context(), operatorapi.ContactTransactionsQuestion{CustomerID: customer, State: "odd"})
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	shown, err := f.contactTransaction(t.Context(), operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: "donor-1"})
	require.NoError(t, err)
	require.Equal(t, "status 422: amount", *shown.LastError)
}

func TestRetrySendsFailedAndReviewedContactsAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "failed", failed)
	f.addContact(t, "reviewed", inReview)
	f.addContact(t, "pending", "")
	for _, reference := range []string{"failed", "reviewed"} {
		shown, err := f.retryContact(t.Context(), operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: reference})
		require.NoError(t, err)
		require.Equal(t, "pending", shown.Status)
	}
	require.Equal(t, int64(1), value[int64](t, f, `SELECT count(*) FROM virtuous_contact_queue WHERE unanswered_since IS NOT NULL`), "it is looked up first")
	_, err := f.retryContact(t.Context(), operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: "pending"})
	requireConflict(t, err)
}

func TestCloseEndsAContactUnlessVirtuousHasIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	question := func(reference string) operatorapi.ContactTransactionQuestion {
		return operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: reference, Reason: "discarded"}
	}
	f.addContact(t, "reviewed", inReview)
	_, err := f.closeContact(t.Context(), question("reviewed"))
	require.NoError(t, err)
	require.Equal(t, "closed discarded", f.statusOf(t, "reviewed"))
	require.Zero(t, f.lookups)

	f.addContact(t, "missing", unanswered)
	_, err = f.closeContact(t.Context(), question("missing"))
	require.NoError(t, err)
	require.Equal(t, "closed discarded", f.statusOf(t, "missing"))

	f.addContact(t, "there", unanswered)
	f.contactsKnown[7] = virtuous.Contact{ID: 7, References: []virtuous.ContactReference{{Source: "acmegive", ID: "there"}}, ModifiedAt: time.Now()}
	_, err = f.Vault.Seal(t.Context(), customer, "any", nil)
	require.NoError(t, err)
	shown, err := f.closeContact(t.Context(), question("there"))
	require.NoError(t, err)
	require.Equal(t, "confirmed", shown.Status)
	require.Equal(t, "confirmed operator_lookup", f.statusOf(t, "there"))
	_, err = f.closeContact(t.Context(), question("there"))
	requireConflict(t, err)

	f.addContact(t, "under way", `attempt_started_at = now(), attempt_epoch = 1, `+unanswered)
	f.exec(t, `INSERT INTO giving_leases (customer_id, epoch, holder, expires_at) VALUES ('acme', 1, 'h', now() + interval '1 minute')`)
	_, err = f.closeContact(t.Context(), question("under way"))
	requireConflict(t, err)
}

// differs adds a difference of the platform's contact.
func (f *fixture) differs(t testing.TB, reference, field, state, reason string) {
	t.Helper()
	f.exec(t, `INSERT INTO contact_differences (customer_id, contact_id, field, state, reason, values_sealed, created_at, state_at)
		SELECT 'acme', id, $2, $3, nullif($4, ''), '', now(), now() FROM virtuous_contact_queue WHERE reference_id = $1`, reference, field, state, reason)
}

func TestContactsShowTheFieldsInWhichTheyDifferWithoutValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const known = `status = 'confirmed', confirmed_at = now(), virtuous_contact_id = 501, next_attempt_at = NULL`
	f.addContact(t, "donor-1", known)
	f.addContact(t, "donor-2", known)
	f.addContact(t, "donor-3", "")
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 501, 'live', '', '', now(), now()), ('acme', 502, 'live', '', '', now(), now())`)
	f.differs(t, "donor-1", "email", "conflict", "duplicate_email")
	f.differs(t, "donor-1", "name", "settled", "")
	f.differs(t, "donor-2", "phone", "partner_pending", "")
	f.exec(t, `UPDATE contact_differences SET other_contact_id = 7 WHERE field = 'email'`)

	listed, err := f.contactTransactions(t.Context(), operatorapi.ContactTransactionsQuestion{CustomerID: customer})
	require.NoError(t, err)
	differing := map[string][]operatorapi.ContactDifference{}
	for _, one := range listed.Contacts {
		require.NotNil(t, one.Differences)
		differing[one.ReferenceID] = one.Differences
	}
	require.Empty(t, differing["donor-3"])
	require.Len(t, differing["donor-1"], 1)
	since := differing["donor-1"][0].Since
	require.Equal(t, operatorapi.ContactDifference{
		ReferenceID: "donor-1", Field: "email", State: "conflict", Reason: new("duplicate_email"), OtherContactID: new(int64(7)), Since: since,
	}, differing["donor-1"][0])
	shown, err := f.contactTransaction(t.Context(), operatorapi.ContactTransactionQuestion{CustomerID: customer, ReferenceID: "donor-2"})
	require.NoError(t, err)
	require.Equal(t, "phone", shown.Differences[0].Field)

	contacts, err := f.contacts(t.Context(), operatorapi.RecordsQuestion{CustomerID: customer})
	require.NoError(t, err)
	require.Empty(t, contacts.Contacts[0].Differences, "502")
	require.Equal(t, append(differing["donor-1"], differing["donor-2"]...), contacts.Contacts[1].Differences)
	contact, err := f.contact(t.Context(), operatorapi.RecordQuestion{CustomerID: customer, ID: 501})
	require.NoError(t, err)
	require.Equal(t, contacts.Contacts[1].Differences, contact.Differences)
}

func TestOperatorNotesWhatThePlatformApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addContact(t, "donor-1", `status = 'confirmed', confirmed_at = now(), virtuous_contact_id = 501, next_attempt_at = NULL`)
	f.differs(t, "donor-1", "email", "partner_pending", "")
	f.differs(t, "donor-1", "phone", "partner_pending", "")
	ask := func(asked operatorapi.ContactAppliedQuestion) (operatorapi.ContactApplied, error) {
		asked.CustomerID = customer
		return f.applied(t.Context(), asked)
	}
	done, err := ask(operatorapi.ContactAppliedQuestion{ReferenceID: "donor-1", Fields: []string{"email"}})
	require.NoError(t, err)
	require.Equal(t, operatorapi.ContactApplied{CustomerID: customer, Fields: []string{"email"}}, done)
	for want := range slices.Values([][]string{{"phone"}, {}}) {
		done, err = ask(operatorapi.ContactAppliedQuestion{VirtuousContactID: 501})
		require.NoError(t, err)
		require.Equal(t, want, done.Fields)
	}
	for field, asked := range map[string]operatorapi.ContactAppliedQuestion{
		"referenceId": {}, "fields[0]": {ReferenceID: "donor-1", Fields: []string{"amount"}},
		"virtuousContactId": {ReferenceID: "donor-1", VirtuousContactID: 501},
	} {
		_, err = ask(asked)
		var fields *service.FieldsError
		require.ErrorAs(t, err, &fields)
		require.Contains(t, fields.Errors, field)
	}
	_, err = ask(operatorapi.ContactAppliedQuestion{ReferenceID: "donor-9"})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = f.applied(t.Context(), operatorapi.ContactAppliedQuestion{CustomerID: "other", ReferenceID: "donor-1"})
	require.ErrorIs(t, err, store.ErrNotFound)
}
