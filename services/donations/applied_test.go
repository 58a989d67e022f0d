package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// addDiffering adds a confirmed contact of the platform that is that contact at Virtuous, with a field in each of these states.
func (f *fixture) addDiffering(t *testing.T, source, reference string, virtuousID int64, states map[string]string) {
	t.Helper()
	f.exec(t, `INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, confirmed_at, virtuous_contact_id, created_at, status_at, updated_at)
		VALUES ($1, $2, $3, 'confirmed', $2, '', now(), '', '', now(), $4, now(), now(), now())`, customer, source, reference, virtuousID)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ($1, $2, 'live', '', '', now(), now()) ON CONFLICT DO NOTHING`, customer, virtuousID)
	id := column[int64](t, f, `SELECT id FROM virtuous_contact_queue WHERE reference_source = $1 AND reference_id = $2`, source, reference)[0]
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for field, state := range states {
			one := store.ContactDifference{
				ContactID: id, Field: field, State: state, ValuesSealed: []byte{3}, Turns: json.RawMessage(`{}`),
			}
			if state == store.DifferenceConflict {
				one.Reason = "no_rule"
			}
			if _, err := tx.SaveContactDifference(ctx, customer, one); err != nil {
				return err
			}
		}
		return tx.SetContactSyncState(ctx, customer, virtuousID)
	}))
}

func appliedMessage(sequence uint64, body string) intake.Message {
	return intake.Message{Created: streamCreated, Delivery: &worker.Delivery{
		Subject: bus.SubjectApplied(customer), Data: []byte(body), Stream: bus.StreamDonations, Sequence: sequence, Deliveries: 1,
		Published: streamCreated.Add(time.Duration(sequence) * time.Second),
	}}
}

func (f *fixture) apply(t *testing.T, body string) {
	t.Helper()
	f.sequence++
	require.NoError(t, f.capturer.captureApplied(t.Context(), appliedMessage(f.sequence, body)))
}

// differing returns the fields that are not settled, with their contacts.
func (f *fixture) differing(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', q.reference_id, d.field, d.state)
		FROM contact_differences d JOIN virtuous_contact_queue q ON q.id = d.contact_id
		WHERE d.state <> 'settled' ORDER BY q.id, d.field`)
}

func (f *fixture) syncStates(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT virtuous_contact_id || ' ' || sync_state FROM partner_contacts ORDER BY virtuous_contact_id`)
}

const (
	waits    = store.DifferencePartnerPending
	writes   = store.DifferenceVirtuousPending
	conflict = store.DifferenceConflict
)

func TestAppliedSettlesWhatWaitsForThePlatform(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		states  map[string]string
		message string
		left    []string
		sync    string
	}{
		"all": {map[string]string{"email": waits, "phone": waits}, `"referenceId":"donor-1"`, nil, "in_sync"},
		"some": {map[string]string{"email": waits, "phone": waits}, `"referenceId":"donor-1","fields":["email"]`,
			[]string{"donor-1 phone partner_pending"}, waits},
		"by Virtuous' id": {map[string]string{"email": waits}, `"virtuousContactId":501`, nil, "in_sync"},
		"a field that does not differ": {map[string]string{"email": waits}, `"referenceId":"donor-1","fields":["phone"]`,
			[]string{"donor-1 email partner_pending"}, waits},
		"conflicts and writes stay": {map[string]string{"email": conflict, "name": writes, "phone": waits}, `"referenceId":"donor-1"`,
			[]string{"donor-1 email conflict", "donor-1 name virtuous_pending"}, conflict},
		"nothing waits": {nil, `"referenceId":"donor-1"`, nil, "in_sync"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.addDiffering(t, "acmegive", "donor-1", 501, c.states)
			f.addDiffering(t, "acmegive", "donor-2", 502, map[string]string{"email": waits})
			for range 2 { // the same message again changes nothing
				f.apply(t, `{"customerId":"acme",`+c.message+`}`)
				require.Equal(t, append(c.left, "donor-2 email partner_pending"), f.differing(t))
				require.Equal(t, []string{"501 " + c.sync, "502 partner_pending"}, f.syncStates(t))
			}
			require.Empty(t, column[string](t, f, `SELECT error_code FROM dead_letters`))
			require.Empty(t, f.events(t))
			require.Equal(t, int64(0), column[int64](t, f, `SELECT count(*) FROM contact_differences WHERE state = 'settled'
				AND (applied_at IS NULL OR values_sealed IS NOT NULL OR decision IS NOT NULL)`)[0])
		})
	}
}

func TestAppliedMeansAllContactsOfTheIDAlsoAfterAMerge(t *testing.T) {
	t.Parallel()
	email := map[string]string{"email": waits}
	f := newFixture(t, "{}")
	f.addDiffering(t, "acmegive", "donor-1", 501, email)
	f.addDiffering(t, "acmegive", "donor-2", 501, email)
	f.addDiffering(t, "oldsource", "donor-3", 502, email)
	f.addDiffering(t, "acmegive", "donor-3", 503, email)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, merges_into, merged_into, created_at, last_sync_at)
		VALUES ($1, 400, 'merged', '', '', 501, 501, now(), now())`, customer)
	f.apply(t, `{"customerId":"acme","referenceId":"donor-2"}`)
	require.Equal(t, []string{"donor-1 email partner_pending", "donor-3 email partner_pending", "donor-3 email partner_pending"}, f.differing(t))
	require.Equal(t, "501 partner_pending", f.syncStates(t)[1], "another contact of the platform is that one, too")
	f.apply(t, `{"customerId":"acme","virtuousContactId":400}`) // the id that the event had before the merge
	f.apply(t, `{"customerId":"acme","referenceId":"donor-3"}`) // of both sources
	require.Empty(t, f.differing(t))
	require.Equal(t, []string{"400 in_sync", "501 in_sync", "502 in_sync", "503 in_sync"}, f.syncStates(t))
}

func TestBadAppliedMessageIsALetterAndAnEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ message, code, errs string }{
		"no JSON":        {`email`, "applied_invalid", `"body"`},
		"no contact":     {`{"customerId":"acme"}`, "applied_invalid", `"referenceId"`},
		"both ids":       {`{"customerId":"acme","referenceId":"donor-1","virtuousContactId":501}`, "applied_invalid", `"virtuousContactId"`},
		"other customer": {`{"customerId":"other","referenceId":"donor-1"}`, "applied_invalid", `"customerId"`},
		"unknown field":  {`{"customerId":"acme","referenceId":"donor-1","fields":["amount"]}`, "applied_invalid", `"fields[0]"`},
		"unknown contact": {`{"customerId":"acme","referenceId":"donor-9"}`, "applied_unknown",
			`{"referenceId":["is of no contact that the platform published: give the id that the event contact.differs has"]}`},
		"unknown id at Virtuous": {`{"customerId":"acme","virtuousContactId":"999"}`, "applied_unknown", `"virtuousContactId"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.addDiffering(t, "acmegive", "donor-1", 501, map[string]string{"email": waits})
			f.deliverContact(t, 1, contact(t, "donor-1", map[string]any{"email": "x"}))
			f.deliverContact(t, 2, contact(t, "donor-9", map[string]any{"email": "x"}))
			for range 2 {
				require.NoError(t, f.capturer.captureApplied(t.Context(), appliedMessage(3, c.message)))
			}
			require.Equal(t, []string{"contact donor-1 contact_invalid review", "contact donor-9 contact_invalid review", "message " + c.code + " review"},
				column[string](t, f, `SELECT concat_ws(' ', kind, record_id, error_code, state) FROM dead_letters ORDER BY kind, record_id`),
				"the letter of a contact stays")
			require.Equal(t, []string{"contact.rejected", "contact.rejected", "contact.rejected"}, f.events(t))
			event := column[string](t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox ORDER BY id DESC LIMIT 1`)[0]
			require.Contains(t, event, fmt.Sprintf(`"code":%q`, c.code))
			require.Contains(t, event, c.errs)
			require.Equal(t, []string{"donor-1 email partner_pending"}, f.differing(t))
		})
	}
}

func TestAppliedOfACustomerWithoutGivingIsALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.addDiffering(t, "acmegive", "donor-1", 501, map[string]string{"email": waits})
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed', removed_at = now()`)
	f.apply(t, `{"customerId":"acme","referenceId":"donor-1"}`)
	require.Equal(t, []string{"message giving_off"}, column[string](t, f, `SELECT concat_ws(' ', kind, record_id, error_code) FROM dead_letters`))
	require.Equal(t, []string{"donor-1 email partner_pending"}, f.differing(t))
}

func TestAppliedOfAnOffboardedCustomerIsDiscarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.addDiffering(t, "acmegive", "donor-1", 501, map[string]string{"email": waits})
	f.exec(t, `UPDATE sync_configs SET offboarded_at = now()`)
	f.apply(t, `{"customerId":"acme","referenceId":"donor-1"}`)
	f.apply(t, `{"customerId":"acme"}`)
	require.Equal(t, []string{"donor-1 email partner_pending"}, f.differing(t))
	require.Empty(t, column[string](t, f, `SELECT error_code FROM dead_letters`))
	require.Empty(t, f.events(t))
}

// What an operator decides about a conflict is carried out by the next comparison. The platform's statement comes between: it settles what waits for the
// platform, and neither ends nor changes the decision.
func TestAppliedWhileAConflictIsDecidedLeavesTheDecision(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.addDiffering(t, "acmegive", "donor-1", 501, map[string]string{"email": conflict, "phone": waits})
	f.exec(t, `UPDATE contact_differences SET decision = 'take-virtuous' WHERE state = 'conflict'`)
	f.exec(t, `UPDATE contact_differences SET decision = 'anew' WHERE state = 'partner_pending'`)
	f.apply(t, `{"customerId":"acme","referenceId":"donor-1","fields":["email","phone"]}`)
	require.Equal(t, []string{"donor-1 email conflict"}, f.differing(t))
	require.Equal(t, []string{"email conflict take-virtuous", "phone settled"}, column[string](t, f,
		`SELECT concat_ws(' ', field, state, decision) FROM contact_differences ORDER BY field`))
	require.Equal(t, []string{"501 conflict"}, f.syncStates(t))
}

// The message is acknowledged after its commit: without the acknowledgement it comes again.
func TestAppliedIsAllOrNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.addDiffering(t, "acmegive", "donor-1", 501, map[string]string{"email": waits, "phone": waits})
	f.exec(t, `ALTER TABLE partner_contacts ADD CONSTRAINT broken CHECK (sync_state <> 'in_sync') NOT VALID`)
	err := f.capturer.captureApplied(t.Context(), appliedMessage(1, `{"customerId":"acme","referenceId":"donor-1"}`))
	require.Error(t, err)
	require.Equal(t, []string{"donor-1 email partner_pending", "donor-1 phone partner_pending"}, f.differing(t))
	f.exec(t, `ALTER TABLE partner_contacts DROP CONSTRAINT broken`)
	f.apply(t, `{"customerId":"acme","referenceId":"donor-1"}`)
	require.Empty(t, f.differing(t))
}
