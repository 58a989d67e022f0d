package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/intake"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// contact returns a contact's message with some fields replaced.
func contact(t testing.TB, reference string, changed map[string]any) []byte {
	t.Helper()
	fields := map[string]any{
		"customerId": customer, "referenceId": reference, "firstName": "Ana", "lastName": "Ruiz", "email": reference + ".ruiz@example.org",
		"modifiedAt": "2026-02-20T10:00:00Z",
	}
	maps.Copy(fields, changed)
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	encoded, err := json.Marshal(fields)
	require.NoError(t, err)
	return encoded
}

// publishContact captures a contact as the service does.
func (f *fixture) publishContact(t *testing.T, reference string, changed map[string]any) {
	t.Helper()
	f.sequence++
	f.deliverContact(t, f.sequence, contact(t, reference, changed))
}

// deliverContact captures the contact of the message of that sequence.
func (f *fixture) deliverContact(t *testing.T, sequence uint64, body []byte) {
	t.Helper()
	require.NoError(t, f.capturer.captureContact(t.Context(), intake.Message{Created: streamCreated, Delivery: &worker.Delivery{
		Subject: bus.SubjectContact(customer), Data: body, Stream: bus.StreamDonations, Sequence: sequence, Deliveries: 1,
		Published: streamCreated.Add(time.Duration(sequence) * time.Second),
	}}))
}

// contactStates returns the contacts with their states.
func (f *fixture) contactStates(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', reference_id, status, recovery_path) FROM virtuous_contact_queue ORDER BY reference_id`)
}

// lastName returns the last name of the newest version of the only contact.
func (f *fixture) lastName(t *testing.T) string {
	t.Helper()
	plain, err := f.vault.Open(t.Context(), customer, giving.PurposePartnerContact, column[[]byte](t, f, `SELECT partner_sealed FROM virtuous_contact_queue`)[0])
	require.NoError(t, err)
	read, err := giving.DecodePartnerContact(plain)
	require.NoError(t, err)
	return read.LastName
}

// heldBody returns the body of the only transaction that the sandbox has.
func (f *fixture) heldBody(t *testing.T, reference string) string {
	t.Helper()
	return string(f.transactions(t)[reference].Body)
}

func TestContactIsCapturedOnceAndSealed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.publishContact(t, "donor-1", nil)
	f.deliverContact(t, 1, contact(t, "donor-1", nil)) // the message was not erased
	f.publishContact(t, "donor-1", map[string]any{"contactType": "Household"})

	require.Equal(t, []string{"donor-1 pending"}, f.contactStates(t))
	require.Empty(t, f.events(t))
	body, err := f.vault.Open(t.Context(), customer, giving.PurposeContactTransaction, column[[]byte](t, f, `SELECT body_sealed FROM virtuous_contact_queue`)[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"referenceSource":"AcmeGive","referenceId":"donor-1","contactType":"Household","firstName":"Ana","lastName":"Ruiz",
		"email":"donor-1.ruiz@example.org"}`, string(body))
	require.Equal(t, []string{"acmegive AcmeGive 2026-02-20"}, column[string](t, f,
		`SELECT concat_ws(' ', reference_source, transaction_source, partner_modified_at::date) FROM virtuous_contact_queue`))
	for _, table := range []string{"virtuous_contact_queue", "outbox", "dead_letters", "job_log"} {
		for _, row := range column[string](t, f, `SELECT t::text FROM `+table+` t`) {
			require.NotContains(t, row, "Ruiz")
			require.NotContains(t, row, "ruiz@")
		}
	}
}

func TestInvalidContactIsALetterUntilAValidOneComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	letters := func() []string {
		return column[string](t, f, `SELECT concat_ws(' ', record_id, error_code, state, settled_how) FROM dead_letters WHERE kind = 'contact' ORDER BY origin`)
	}
	bad := contact(t, "donor-1", map[string]any{"email": "ana"})
	f.deliverContact(t, 1, bad)
	f.deliverContact(t, 1, bad) // once more
	require.Empty(t, f.contactStates(t))
	require.Equal(t, []string{"donor-1 contact_invalid review"}, letters())
	require.Equal(t, []string{"contact.rejected"}, f.events(t))
	require.JSONEq(t, `{"customerId":"acme","referenceId":"donor-1","code":"invalid","streamSequence":"1","errors":{"email":["is not an e-mail address"]}}`,
		column[string](t, f, `SELECT convert_from(payload, 'UTF8') FROM outbox`)[0])

	f.deliver(t, customer, 5, donation(t, "donor-1", map[string]any{"amount": "x"})) // a donation's letter is another one
	f.deliverContact(t, 9, contact(t, "donor-1", nil))
	require.Equal(t, []string{"donor-1 pending"}, f.contactStates(t))
	require.Equal(t, []string{"donor-1 contact_invalid settled superseded"}, letters())
	require.Equal(t, []string{"donor-1 donation_invalid review"}, f.letters(t))
}

func TestContactOfACustomerWithoutGivingIsALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed', removed_at = now()`)
	f.publishContact(t, "donor-1", nil)
	require.Equal(t, []string{"contact donor-1 giving_off"}, column[string](t, f, `SELECT concat_ws(' ', kind, record_id, error_code) FROM dead_letters`))
	require.Empty(t, f.contactStates(t))
}

func TestOlderVersionOfAContactIsSkipped(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.publishContact(t, "donor-1", map[string]any{"lastName": "First"})
	f.publishContact(t, "donor-1", map[string]any{"lastName": "Older", "modifiedAt": "2026-02-20T09:59:59Z"})
	require.Equal(t, "First", f.lastName(t))
	f.publishContact(t, "donor-1", map[string]any{"lastName": "Newer", "modifiedAt": "2026-02-20T10:00:01Z"})
	require.Equal(t, "Newer", f.lastName(t))
	f.deliverContact(t, 1, contact(t, "donor-1", map[string]any{"lastName": "First"})) // the first message, delivered again
	require.Equal(t, "Newer", f.lastName(t))
	f.publishContact(t, "donor-1", map[string]any{"lastName": "Untimed", "modifiedAt": nil})
	require.Equal(t, "Untimed", f.lastName(t))
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT partner_modified_at IS NULL FROM virtuous_contact_queue`))
	f.settle(t)
	require.Contains(t, f.heldBody(t, "donor-1"), "Untimed")
}

func TestNewerVersionIsSentOrComparedByTheContactsState(t *testing.T) {
	t.Parallel()
	const review = `status = 'needs_review', submitted_at = now(), next_lookup_at = now(), review_reason = 'match_needed', next_attempt_at = NULL`
	for state, after := range map[string]string{
		`status = 'pending'`: "pending due",
		`status = 'pending', attempt_started_at = now(), attempt_epoch = 1, unanswered_since = now()`: "pending due attempting",
		`status = 'submitted', submitted_at = now(), next_attempt_at = NULL`:                          "submitted",
		review: "needs_review",
		`status = 'failed', next_attempt_at = NULL, last_error = 'x'`:                                                     "pending due",
		`status = 'closed', next_attempt_at = NULL, close_reason = 'x', submitted_at = now()`:                             "pending due",
		`status = 'confirmed', confirmed_at = now(), virtuous_contact_id = 7, next_attempt_at = NULL`:                     "confirmed compare 7",
		`status = 'confirmed', confirmed_at = now(), virtuous_contact_id = 7, next_attempt_at = NULL, sent_hash = '\x01'`: "confirmed compare 7",
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.publishContact(t, "donor-1", nil)
			f.exec(t, `UPDATE virtuous_contact_queue SET `+state)
			f.publishContact(t, "donor-1", map[string]any{"lastName": "Newer", "modifiedAt": "2026-02-21T10:00:00Z"})
			require.Equal(t, "Newer", f.lastName(t))
			require.Equal(t, []string{after}, column[string](t, f, `SELECT concat_ws(' ', status, CASE WHEN next_attempt_at <= rollcall_now() THEN 'due' END,
				CASE WHEN attempt_started_at IS NOT NULL THEN 'attempting' END, CASE WHEN compare_wanted_at IS NOT NULL THEN 'compare' END, virtuous_contact_id)
				FROM virtuous_contact_queue WHERE last_error IS NULL AND close_reason IS NULL`))
		})
	}
}

func TestContactWhoseReferenceVirtuousHasIsComparedAndNotSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.exec(t, `INSERT INTO partner_references (customer_id, reference_source, reference_id, virtuous_contact_id, noted_at)
		VALUES ($1, 'acmegive', 'donor-1', 7, now())`, customer)
	f.publishContact(t, "donor-1", nil)
	f.publishContact(t, "DONOR-1", nil) // another reference
	require.Equal(t, []string{"DONOR-1 pending", "donor-1 confirmed known_reference"}, f.contactStates(t))
	require.Equal(t, []string{"7 true"}, column[string](t, f, `SELECT concat_ws(' ', virtuous_contact_id, (compare_wanted_at IS NOT NULL)::text)
		FROM virtuous_contact_queue WHERE status = 'confirmed'`))
	f.settle(t)
	require.Len(t, f.transactions(t), 1)
	require.Empty(t, f.events(t))
}

func TestContactsAndDonationsAreSentByTheSameRounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	for i := range 10 {
		f.give(t, fmt.Sprintf("don-%02d", i), nil)
		f.publishContact(t, fmt.Sprintf("donor-%02d", i), nil)
	}
	end, ran := f.round(t)
	require.True(t, ran)
	require.Empty(t, end.Reason)
	require.Len(t, f.transactions(t), 20)
	require.Equal(t, map[string]int{"transaction": 10, "contact_transaction": 10}, only(f.operations(t), "transaction", "contact_transaction"))
	require.Equal(t, []int64{10}, column[int64](t, f, `SELECT count(*) FROM virtuous_contact_queue
		WHERE status = 'submitted' AND submitted_at IS NOT NULL AND attempts = 1 AND NOT repeated AND attempt_started_at IS NULL AND sent_hash = content_hash`))
	_, ran = f.round(t)
	require.False(t, ran, "nothing is due")
}

func only(counts map[string]int, names ...string) map[string]int {
	found := map[string]int{}
	for _, name := range names {
		found[name] = counts[name]
	}
	return found
}

func TestAnswersDecideWhatBecomesOfAContact(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	for name, one := range map[string]struct {
		fault fields
		state string // after the first round
		hold  string
	}{
		"500":               {fields{"kind": "status", "status": 500}, "pending 1 maybe status 500", ""},
		"408":               {fields{"kind": "status", "status": 408}, "pending 1 maybe status 408", ""},
		"a page":            {fields{"kind": "page"}, "pending 1 maybe status 200", ""},
		"no answer":         {fields{"kind": "drop"}, "pending 1 maybe virtuous_unreachable", ""},
		"a lost answer":     {fields{"kind": "lost_answer"}, "pending 1 maybe virtuous_unreachable", ""},
		"429":               {fields{"kind": "status", "status": 429, "retryAfter": "60"}, "pending 1 not status 429", "virtuous_throttled"},
		"403":               {fields{"kind": "status", "status": 403}, "pending 1 not status 403", "virtuous_forbidden"},
		"one 401":           {fields{"kind": "revoked"}, "pending 1 not status 401", "virtuous_unavailable"},
		"422 with a detail": {fields{"kind": "status", "status": 422, "shape": "documented"}, "failed 1 not status 422", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			one.fault["count"], one.fault["operation"] = 1, "contact_transaction"
			f.fault(t, one.fault)
			f.publishContact(t, "donor-1", nil)
			end, ran := f.round(t)
			require.True(t, ran)
			require.Equal(t, one.hold, end.Reason)
			require.Contains(t, column[string](t, f, `SELECT concat_ws(' ', status, attempts, CASE WHEN unanswered_since IS NULL THEN 'not' ELSE 'maybe' END,
				last_error) FROM virtuous_contact_queue WHERE attempt_started_at IS NULL`)[0], one.state)
			if one.state[0] == 'f' {
				require.Equal(t, []string{"contact.failed"}, f.events(t))
				return
			}
			f.advance(t, 16*time.Minute)
			f.settle(t)
			require.Equal(t, []string{"donor-1 submitted"}, f.contactStates(t))
			require.Len(t, f.transactions(t), 1)
		})
	}
}

func TestCrashBetweenTwoStepsMakesNoSecondTransactionOfAContact(t *testing.T) {
	t.Parallel()
	for _, place := range []step{stepNoted, stepAnswered, stepRecorded, stepLookedUp, stepConfirmed} {
		for _, between := range []time.Duration{10 * time.Second, 24 * time.Hour} {
			for _, version := range []string{"the same", "newer"} {
				t.Run(fmt.Sprint(place, ", ", between, ", ", version), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t, "{}")
					f.publishContact(t, "donor-1", nil)
					f.fault(t, map[string]any{"kind": "lost_answer", "count": 1, "operation": "contact_transaction"})
					crashed := 0
					f.submitter.reached = func(at step) error {
						if at != place || crashed == 3 {
							return nil
						}
						crashed++
						return errCrash
					}
					for i := range 3 {
						f.round(t)
						if version == "newer" && i == 0 {
							f.publishContact(t, "donor-1", map[string]any{"lastName": "Newer", "modifiedAt": "2026-02-21T10:00:00Z"})
						}
						f.advance(t, between)
					}
					f.settle(t)

					require.Len(t, f.transactions(t), 1)
					state := column[string](t, f, `SELECT status FROM virtuous_contact_queue`)[0]
					require.Contains(t, []string{"submitted", "confirmed"}, state)
					require.NotContains(t, f.events(t), "contact.failed")
					f.importAndConfirm(t, "donor-1")
					compared := column[bool](t, f, `SELECT compare_wanted_at IS NOT NULL FROM virtuous_contact_queue WHERE status = 'confirmed'`)
					require.Len(t, compared, 1)
					if version == "newer" {
						require.Equal(t, "Newer", f.lastName(t))
						require.True(t, compared[0] || f.heldHas(t, "donor-1", "Newer"), "Virtuous has the newest version, or it is compared")
					}
				})
			}
		}
	}
}

func (f *fixture) heldHas(t *testing.T, reference, name string) bool {
	t.Helper()
	var body struct{ LastName string }
	require.NoError(t, json.Unmarshal([]byte(f.heldBody(t, reference)), &body))
	return body.LastName == name
}

// importAndConfirm runs the import, and applies what Virtuous has of the reference, as a webhook does.
func (f *fixture) importAndConfirm(t *testing.T, reference string) inbound.Outcome {
	t.Helper()
	f.control(t, http.MethodPost, "/virtuous/orgs/acme/imports:run", map[string]any{"bundle": true})
	config, err := f.store.VirtuousConfig(t.Context(), customer)
	require.NoError(t, err)
	client, err := f.submitter.virtuous.Open(t.Context(), config, nil, "test")
	require.NoError(t, err)
	read, err := client.ContactByReference(t.Context(), "AcmeGive", reference)
	require.NoError(t, err)
	now, err := f.store.Now(t.Context())
	require.NoError(t, err)
	outcomes, err := f.submitter.inbound.ApplyAll(t.Context(), inbound.Pass{Customer: customer, Job: "webhook"}, []inbound.Record{{Contact: &read, At: now}})
	require.NoError(t, err)
	return outcomes[0]
}

func TestMatchedAndCreatedContactsAreConfirmed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `{"imports":"manual"}`)
	f.control(t, http.MethodPost, "/virtuous/orgs/acme/contacts", map[string]any{
		"firstName": "Anna", "lastName": "Ruiz", "email": "matched.ruiz@example.org",
	})
	for _, reference := range []string{"matched", "created"} {
		f.publishContact(t, reference, nil)
	}
	f.settle(t)
	for _, reference := range []string{"matched", "created"} {
		require.Equal(t, []string{reference}, f.importAndConfirm(t, reference).ConfirmedContacts)
	}
	require.Equal(t, []string{"created confirmed", "matched confirmed"}, f.contactStates(t))
	require.Len(t, column[int64](t, f, `SELECT DISTINCT virtuous_contact_id FROM virtuous_contact_queue`), 2)
	require.Equal(t, 2, f.contactsOfVirtuous(t), "the matched one is the one that was there")
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT bool_and(compare_wanted_at IS NULL) FROM virtuous_contact_queue`), "Virtuous has these versions")
	f.importAndConfirm(t, "matched")
	require.Equal(t, []string{"contact.confirmed", "contact.confirmed"}, confirmations(f.events(t)))
}

func (f *fixture) contactsOfVirtuous(t *testing.T) int {
	t.Helper()
	var ledger struct{ Contacts struct{ All int } }
	require.NoError(t, json.Unmarshal(f.control(t, http.MethodGet, "/virtuous/orgs/acme/ledger", nil), &ledger))
	return ledger.Contacts.All
}

func confirmations(events []string) (found []string) {
	for _, one := range events {
		if one == "contact.confirmed" {
			found = append(found, one)
		}
	}
	return found
}

func TestVersionThatCameDuringARejectedAttemptIsSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.fault(t, map[string]any{"kind": "status", "status": 422, "operation": "contact_transaction", "count": 1})
	f.publishContact(t, "donor-1", nil)
	published := false
	f.submitter.reached = func(at step) error {
		if at == stepAnswered && !published {
			published = true
			f.publishContact(t, "donor-1", map[string]any{"lastName": "Newer", "modifiedAt": "2026-02-21T10:00:00Z"})
		}
		return nil
	}
	f.settle(t)
	require.Equal(t, []string{"donor-1 submitted"}, f.contactStates(t))
	require.True(t, f.heldHas(t, "donor-1", "Newer"))
	require.Empty(t, f.events(t))
}

func TestContactSealedWithADestroyedKeyFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.publishContact(t, "donor-1", nil)
	f.exec(t, `UPDATE virtuous_contact_queue SET body_sealed = partner_sealed`)
	f.round(t)
	require.Equal(t, []string{"donor-1 failed"}, f.contactStates(t))
	require.Equal(t, []string{"contact.failed"}, f.events(t))
}

func TestAnotherOrganizationGetsTheNextVersionOfEachContact(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `{"imports":"manual"}`)
	f.publishContact(t, "donor-1", nil)
	f.settle(t)
	f.importAndConfirm(t, "donor-1")
	f.publishContact(t, "donor-2", nil)
	f.settle(t)
	f.publishContact(t, "donor-3", nil)
	f.exec(t, `DELETE FROM partner_references`)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		closed, err := tx.CloseContactsOfOrganization(ctx, customer, 10)
		require.EqualValues(t, 2, closed)
		return err
	}))
	require.Equal(t, []string{"donor-1 closed", "donor-2 closed", "donor-3 pending"}, f.contactStates(t))
	f.publishContact(t, "donor-1", nil) // the same version
	f.publishContact(t, "donor-2", map[string]any{"modifiedAt": "2026-02-21T10:00:00Z"})
	require.Equal(t, []string{"donor-1 closed", "donor-2 pending", "donor-3 pending"}, f.contactStates(t))
}
