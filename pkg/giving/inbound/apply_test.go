package inbound_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/store"
)

var modified = time.Date(2026, time.March, 1, 8, 0, 0, 0, time.UTC)

// giftEvent is an event about a gift, received some minutes after the first.
func giftEvent(verb string, record map[string]any, minute int) happening {
	return happening{entity: "gift", verb: verb, record: record, at: received.Add(time.Duration(minute) * time.Minute), precise: finest}
}

func contactEvent(verb string, record map[string]any, minute int) happening {
	return happening{entity: "contact", verb: verb, record: record, at: received.Add(time.Duration(minute) * time.Minute), precise: finest}
}

func changes(outcomes []inbound.Outcome) []inbound.Change {
	all := make([]inbound.Change, len(outcomes))
	for i, outcome := range outcomes {
		all[i] = outcome.Change
	}
	return all
}

func TestEventsSayWhatAGiftsVersionsChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	first := giftEvent("update", gift(10, 1, "40", "", modified), 0).the(t) // its creation was lost
	second := giftEvent("update", gift(10, 2, "41", "", modified.Add(time.Minute)), 1).the(t)
	deleted := giftEvent("delete", map[string]any{"id": int64(10)}, 3).the(t)

	require.Equal(t, []inbound.Change{inbound.Created}, changes(f.apply(t, first)))
	outcomes := f.apply(t, second, first, second)
	require.Equal(t, []inbound.Change{inbound.Updated, inbound.Skipped, inbound.Unchanged}, changes(outcomes))
	require.Equal(t, []string{"contactId", "amount", "giftDesignations"}, outcomes[0].ChangedFields)
	require.Equal(t, []inbound.Change{inbound.Deleted, inbound.Unchanged}, changes(f.apply(t, deleted, deleted)))
	late := giftEvent("update", gift(10, 2, "43", "", modified.Add(time.Hour)), 4).the(t)
	require.Equal(t, []inbound.Change{inbound.Unchanged}, changes(f.apply(t, late)), "a deletion has no time: it is final")
	require.Equal(t, []string{"gift.created", "gift.updated", "gift.deleted"}, f.events(t))

	back := giftEvent("update", gift(10, 2, "43", "", modified.Add(time.Hour)), 5)
	back.read = true
	outcomes = f.apply(t, back.the(t))
	require.Equal(t, inbound.Updated, outcomes[0].Change, "Virtuous returned the gift")
	require.Equal(t, []string{"state"}, outcomes[0].ChangedFields)
	require.Equal(t, []string{"gift.updated"}, f.events(t))
}

func TestADonationIsConfirmedInEveryStateByWhicheverEventComesFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	statuses := []string{"pending", "submitted", "needs_review", "failed", "closed"}
	for i, status := range statuses {
		id := "don-" + status
		f.addDonation(t, customer, id, status)
		record := gift(int64(100+i), 7, "125.00", id, modified)
		record["transactionSource"] = "ACMEGIVE" // Virtuous ignores the case
		verb := []string{"create", "update"}[i%2]
		outcomes := f.apply(t, giftEvent(verb, record, 0).the(t), giftEvent("update", record, 1).the(t))
		require.Equal(t, id, outcomes[0].Confirmed)
		require.Empty(t, outcomes[0].Differs)
		require.Empty(t, outcomes[1].Confirmed)
		require.ElementsMatch(t, []string{"gift.created", "gift.confirmed"}, f.events(t), status)
	}
	var confirmed int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM virtuous_donation_queue d
		JOIN partner_gifts g USING (customer_id, platform_donation_id) WHERE status = 'confirmed' AND d.virtuous_gift_id = g.virtuous_gift_id
		AND confirmed_at IS NOT NULL AND next_attempt_at IS NULL AND virtuous_contact_id = 7 AND recovery_path IS NULL`).Scan(&confirmed))
	require.Equal(t, len(statuses), confirmed)
}

func TestAGiftThatStaffChangedConfirmsItsDonationAndTheDifferencesAreNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addDonation(t, customer, "don-1", "submitted")
	record := gift(10, 7, "120", "don-1", modified)
	record["giftDate"] = "2026-02-20T00:00:00"
	outcomes := f.apply(t, giftEvent("create", record, 0).the(t))
	require.Equal(t, "don-1", outcomes[0].Confirmed)
	require.Equal(t, []string{"giftDate", "amount", "giftDesignations"}, outcomes[0].Differs)
}

func TestADonationSealedWithADestroyedKeyIsConfirmedWithoutAComparison(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addDonation(t, customer, "don-1", "submitted")
	sealed, err := f.applier.Vault.Seal(t.Context(), customer, "another purpose", []byte("{}"))
	require.NoError(t, err)
	f.exec(t, `UPDATE virtuous_donation_queue SET body_sealed = $1`, sealed)
	outcomes := f.apply(t, giftEvent("create", gift(10, 7, "120", "don-1", modified), 0).the(t))
	require.Equal(t, "don-1", outcomes[0].Confirmed)
	require.Empty(t, outcomes[0].Differs)
}

func TestATransactionOfAnotherSourceConfirmsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addDonation(t, customer, "don-1", "submitted")
	record := gift(10, 7, "125.00", "don-1", modified)
	record["transactionSource"] = "Other"
	require.Empty(t, f.apply(t, giftEvent("create", record, 0).the(t))[0].Confirmed)
	require.Equal(t, []string{"gift.created"}, f.events(t))
}

func TestAReadWinsOverAnOlderWebhookWithTheSameTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	read := giftEvent("update", gift(10, 1, "41", "", modified), 5)
	read.read = true
	webhook := giftEvent("update", gift(10, 1, "40", "", modified.Add(9*time.Millisecond)), 4).the(t)
	f.apply(t, webhook)
	require.Equal(t, []inbound.Change{inbound.Updated}, changes(f.apply(t, read.the(t))))
	require.Equal(t, []inbound.Change{inbound.Skipped}, changes(f.apply(t, webhook)), "it was received before the read")
	later := giftEvent("update", gift(10, 1, "40", "", modified.Add(10*time.Millisecond)), 4).the(t)
	require.Equal(t, []inbound.Change{inbound.Updated}, changes(f.apply(t, later)), "10 ms are another time")
}

func TestMergesMoveGiftsDonationsAndReferencesToTheEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addDonation(t, customer, "don-1", "submitted")
	f.apply(t, giftEvent("create", gift(10, 1, "125.00", "don-1", modified), 0).the(t))
	f.apply(t, contactEvent("create", contact(1, 0, "Ruiz, Ana", modified, "donor-1"), 0).the(t))
	f.events(t)

	f.apply(t, contactEvent("update", contact(2, 3, "Ruiz, A.", modified.Add(time.Hour)), 1).the(t)) // 2 → 3 becomes known before 1 → 2
	outcomes := f.apply(t, contactEvent("update", contact(1, 2, "Ruiz, Ana", modified.Add(time.Hour), "donor-1"), 2).the(t))

	require.Equal(t, []inbound.Change{inbound.Merged}, changes(outcomes))
	require.Equal(t, []string{"contact.merged", "contact.merged"}, f.events(t))
	var contacts []int64
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT array[
		(SELECT contact_id FROM partner_gifts), (SELECT virtuous_contact_id FROM virtuous_donation_queue),
		(SELECT virtuous_contact_id FROM partner_references), (SELECT merged_into FROM partner_contacts WHERE virtuous_contact_id = 1)]`).Scan(&contacts))
	require.Equal(t, []int64{3, 3, 3, 3}, contacts)
}

func TestRecordsOfACustomerWithoutGivingAreNotApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed', removed_at = now()`)
	record := giftEvent("create", gift(10, 1, "40", "", modified), 0).the(t)
	_, err := f.applier.ApplyAll(t.Context(), inbound.Pass{Customer: customer, Job: "webhook"}, []inbound.Record{record})
	require.ErrorIs(t, err, store.ErrNotFound)
	tables, err := f.tables(context.WithoutCancel(t.Context()), customer)
	require.NoError(t, err)
	require.Empty(t, tables)
}

func TestAnIncompleteRecordHasToBeRead(t *testing.T) {
	t.Parallel()
	record := gift(10, 1, "40", "", modified)
	delete(record, "modifiedDateTimeUtc")
	webhook := giftEvent("update", record, 0)
	parsed, err := webhook.parsed()
	require.NoError(t, err)
	require.True(t, parsed.NeedsRead())
	webhook.read = true
	require.False(t, webhook.the(t).NeedsRead())
}

func TestAReadThatLacksFieldsConfirmsItsDonationAndIsNoVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, customer)
	f.addDonation(t, customer, "don-1", "submitted")
	f.apply(t, giftEvent("create", gift(10, 1, "40", "", modified), 0).the(t))
	for field, value := range map[string]any{"amount": "forty", "giftDesignations": nil, "transactionSource": map[string]any{}, "contactId": nil} {
		record := gift(10, 1, "40", "", modified.Add(time.Hour))
		record[field] = value
		read := giftEvent("update", record, 9)
		read.read = true
		require.Equal(t, []inbound.Change{inbound.Skipped}, changes(f.apply(t, read.the(t))), field)
	}
	require.Equal(t, []string{"gift.created"}, f.events(t))

	record := gift(11, 1, "125.00", "don-1", modified)
	record["amount"] = "forty"
	read := giftEvent("update", record, 9)
	read.read = true
	outcomes := f.apply(t, read.the(t))
	require.Equal(t, "don-1", outcomes[0].Confirmed, "Virtuous has it")
	require.Empty(t, outcomes[0].Differs)
	require.Equal(t, []string{"gift.confirmed"}, f.events(t))
	require.Equal(t, []inbound.Change{inbound.Created}, changes(f.apply(t, giftEvent("create", gift(11, 1, "125.00", "don-1", modified), 10).the(t))))
}
