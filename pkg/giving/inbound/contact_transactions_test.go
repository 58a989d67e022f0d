package inbound_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/inbound"
)

// addContact adds a contact of the platform in a status.
func (f *fixture) addContact(t testing.TB, reference, status string) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, sent_hash, next_attempt_at, submitted_at, next_lookup_at, review_reason, created_at, status_at, updated_at)
		VALUES ($1, 'acmegive', $2, $3, 'AcmeGive', '', $4, '', '\x01', '\x01', CASE WHEN $3 = 'pending' THEN now() END,
		CASE WHEN $3 IN ('submitted', 'needs_review') THEN now() END, CASE WHEN $3 = 'needs_review' THEN now() END,
		CASE WHEN $3 = 'needs_review' THEN 'match_needed' END, $4, $4, $4)`, customer, reference, status, received)
}

func (f *fixture) contactRows(t testing.TB) []string {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), `SELECT concat_ws(' ', reference_id, status, virtuous_contact_id, recovery_path,
		CASE WHEN compare_wanted_at IS NOT NULL THEN 'compare' END) FROM virtuous_contact_queue ORDER BY reference_id`)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

func TestAContactIsConfirmedInEveryStateByItsCreationAndByAnUpdate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	for i, status := range []string{"pending", "submitted", "needs_review", "failed", "closed"} {
		for j, verb := range []string{"create", "update"} {
			reference := status + " " + verb
			f.addContact(t, reference, status)
			record := contact(int64(10*i+j+1), 0, "Ruiz, Ana", modified, "other", reference)
			record["contactReferences"] = []any{map[string]any{"source": "ACMEGIVE", "id": reference}, map[string]any{"source": "Else", "id": "x"}}
			event := contactEvent(verb, record, 0)
			event.form = i
			outcomes := f.apply(t, event.the(t), event.the(t))
			require.Equal(t, []string{reference}, outcomes[0].ConfirmedContacts)
			require.Empty(t, outcomes[1].ConfirmedContacts)
			require.Equal(t, []string{"contact.created", "contact.confirmed"}, f.events(t))
		}
	}
	require.Len(t, f.contactRows(t), 10)
	for _, row := range f.contactRows(t) {
		require.Regexp(t, `^\w+ (create|update) confirmed \d+$`, row)
	}
}

func TestAContactWithTheReferenceOfAnotherSourceConfirmsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addContact(t, "donor-1", "submitted")
	record := contact(1, 0, "Ruiz, Ana", modified)
	record["contactReferences"] = []any{map[string]any{"source": "Else", "id": "donor-1"}, map[string]any{"source": "AcmeGive", "id": "DONOR-1"}}
	require.Empty(t, f.apply(t, contactEvent("create", record, 0).the(t))[0].ConfirmedContacts)
	require.Equal(t, []string{"donor-1 submitted"}, f.contactRows(t))
}

func TestAContactThatVirtuousMayHaveInAnotherVersionIsCompared(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	for reference, change := range map[string]string{
		"newer": `content_hash = '\x02'`, "never sent": `sent_hash = NULL`, "repeated": `repeated = true`, "same": `sent_hash = '\x01'`,
	} {
		f.addContact(t, reference, "submitted")
		f.exec(t, `UPDATE virtuous_contact_queue SET `+change+` WHERE reference_id = $1`, reference)
	}
	f.apply(t, contactEvent("update", contact(1, 0, "Ruiz, Ana", modified, "newer", "never sent", "repeated", "same"), 0).the(t))
	require.Equal(t, []string{"never sent confirmed 1 compare", "newer confirmed 1 compare", "repeated confirmed 1 compare", "same confirmed 1"}, f.contactRows(t))
}

func TestMergesMoveThePlatformsContactsToTheEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addContact(t, "donor-1", "submitted")
	f.addContact(t, "donor-2", "submitted")
	f.apply(t, contactEvent("create", contact(1, 0, "Ruiz, Ana", modified, "donor-1"), 0).the(t))
	f.apply(t, contactEvent("update", contact(2, 3, "Ruiz, A.", modified.Add(time.Hour)), 1).the(t))
	f.apply(t, contactEvent("update", contact(1, 2, "Ruiz, Ana", modified.Add(time.Hour), "donor-1"), 2).the(t))
	require.Equal(t, []string{"donor-1 confirmed 3 compare", "donor-2 submitted"}, f.contactRows(t), "another contact has other values")

	outcomes := f.apply(t, contactEvent("update", contact(2, 3, "Ruiz, A.", modified.Add(2*time.Hour), "donor-2"), 3).the(t))
	require.Equal(t, []string{"donor-2"}, outcomes[0].ConfirmedContacts, "the merged contact has the reference still")
	require.Equal(t, []string{"donor-1 confirmed 3 compare", "donor-2 confirmed 3"}, f.contactRows(t))
	f.apply(t, contactEvent("update", contact(9, 0, "Ruiz, B.", modified.Add(3*time.Hour), "donor-2"), 4).the(t))
	require.Equal(t, []string{"donor-1 confirmed 3 compare", "donor-2 confirmed 9 compare"}, f.contactRows(t), "staff moved the reference")
}

func TestAReadThatLacksFieldsConfirmsItsContact(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addContact(t, "donor-1", "submitted")
	record := contact(1, 0, "Ruiz, Ana", modified, "donor-1")
	delete(record, "contactIndividuals")
	read := contactEvent("update", record, 0)
	read.read = true
	outcomes := f.apply(t, read.the(t))
	require.Equal(t, inbound.Skipped, outcomes[0].Change)
	require.Equal(t, []string{"donor-1"}, outcomes[0].ConfirmedContacts)
	require.True(t, outcomes[0].IsApplied())
}
