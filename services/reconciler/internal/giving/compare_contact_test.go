package giving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// The matrix: all fields differ, by rules, by the times of the two sides, and by how the difference was found.
func TestDifferencesAreDecidedByRuleAndTime(t *testing.T) {
	t.Parallel()
	const (
		settled  = ""
		partner  = "partner_pending"
		review   = "conflict partner_change"
		conflict = "conflict no_rule"
	)
	each := func(decided string) [4]string { return [4]string{decided, decided, decided, decided} }
	recent := [4]string{settled, partner, conflict, conflict}
	states := map[string]string{settled: "settled", partner: "partner_pending", review: "conflict", conflict: "conflict"}
	times := []string{"the platform changed last", "Virtuous changed last", "equal", "the platform does not say"}
	for name, c := range map[string]struct {
		rules            resolution.Rules
		drifted, changed [4]string
	}{
		"Virtuous is right":     {resolution.Rules{}, each(partner), each(review)},
		"most recent":           {resolution.Rules{Policy: resolution.MostRecentWins}, recent, recent},
		"owners, and none":      {resolution.Rules{Policy: resolution.OwnersOnly}, each(conflict), each(conflict)},
		"the platform owns all": {resolution.Rules{Owners: all(resolution.OwnerPartner)}, each(settled), each(settled)},
		"Virtuous owns all": {
			resolution.Rules{Policy: resolution.MostRecentWins, Owners: all(resolution.OwnerVirtuous)}, each(partner), each(partner),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPairs(t, c.rules)
			at := noon.Add(-time.Hour)
			want, ids := map[string]string{}, map[string]int64{}
			for i := range times {
				for occasion, decided := range map[string][4]string{"drift": c.drifted, "change": c.changed} {
					reference := fmt.Sprintf("%s-%d", occasion, i)
					want[reference] = decided[i]
					ids[reference] = p.add(reference)
					p.edit(ids[reference], map[string]any{"address1": "9 Elm St", "modifiedAt": at.UTC().Format(time.RFC3339)})
					partnerAt := [...]time.Time{at.Add(time.Second), at.Add(-time.Second), at, {}}[i]
					if occasion == "drift" {
						p.hold(other(reference), partnerAt)
					} else {
						p.publish(other(reference), partnerAt)
					}
				}
			}
			p.work()
			p.reconcile(t, "acme", bus.CategoryDrift)
			p.work()

			var events []string
			for reference, decided := range want {
				fields, state := p.states(reference)
				if decided == settled {
					require.Empty(t, fields, reference)
					require.Equal(t, "in_sync", state, reference)
					partner, ours := sidesOf(other(reference), p.contact(ids[reference]))
					require.Empty(t, resolution.Compare(partner, ours), reference)
				} else {
					require.Equal(t, all(decided), fields, reference)
					require.Equal(t, states[decided], state, reference)
					_, ours := sidesOf(person(reference), p.contact(ids[reference]))
					require.Equal(t, person(reference).Email, ours.Email, "nothing is written to Virtuous")
				}
				for _, field := range resolution.Fields() {
					events = append(events, reference+" "+field+" "+states[decided])
				}
			}
			slices.Sort(events)
			require.Equal(t, events, p.published(), "each field once")
			require.Equal(t, p.count(`SELECT count(*) FROM contact_differences WHERE state = 'conflict'`),
				p.count(`SELECT count(*) FROM review_items WHERE kind = 'contact' AND state = 'open'`))
			require.EqualValues(t, 4*len(resolution.Fields()), p.count(`SELECT count(*) FROM virtuous_reconciliation_log
				WHERE category = 'drift' AND details ->> 'occasion' IS NULL`))

			before := p.operations()["contact_write"]
			p.reconcile(t, "acme", bus.CategoryDrift)
			for reference := range want {
				p.exec(t, `UPDATE virtuous_contact_queue SET compare_wanted_at = rollcall_now() WHERE reference_id = $1`, reference)
			}
			p.work()
			require.Empty(t, p.published(), "another comparison changes nothing")
			require.Equal(t, before, p.operations()["contact_write"])
		})
	}
}

func TestAWrittenContactKeepsEverythingElse(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Owners: all(resolution.OwnerPartner)})
	id := p.add("donor-1")
	p.edit(id, map[string]any{"middleName": "Maria", "gender": "Female", "isPrivate": true, "tags": []string{"major donor"}})
	before := p.record(id)
	p.publish(other("donor-1"), time.Time{})
	p.work()
	after := p.record(id)
	require.NotEqual(t, before, after)
	for _, name := range []string{
		"name", "informalName", "address", "contactIndividuals", "modifiedDateTimeUtc", "modifiedByUser", // what was written
		"formalContactName", "preferredAddresseeName", "preferredSalutationName", // what Virtuous makes of a name
	} {
		delete(before, name)
		delete(after, name)
	}
	require.Equal(t, before, after)
	written := p.contact(id)
	require.Equal(t, "Anna", written.Primary().FirstName)
	require.Equal(t, "Maria", written.Primary().MiddleName, "the person keeps what the platform does not have")
	require.Equal(t, "85201", written.Address.Postal)
}

// record returns the whole record that Virtuous returns.
func (p *pairs) record(id int64) map[string]any {
	p.t.Helper()
	var record map[string]any
	require.NoError(p.t, json.Unmarshal(p.contact(id).Raw, &record))
	return record
}

func TestPhoneNumbersInTwoFormsSettleAfterOneWriteAtMost(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Policy: resolution.MostRecentWins})
	id := p.add("donor-1")
	version := person("donor-1")
	version.Phone = "+1 (555) 010 0123"
	p.publish(version, time.Now().Add(time.Hour))
	p.work()
	require.Zero(t, p.operations()["contact_write"], "it is the same number")

	version.Phone = "+49 171 5550100 99"
	p.publish(version, time.Now().Add(2*time.Hour))
	p.reconciler.reached = func(place string) error {
		if place == "written" { // Virtuous keeps the number in a form that nothing recognises
			p.edit(id, map[string]any{"phone": "0171-DE-99"})
		}
		return nil
	}
	p.work()
	require.Equal(t, 1, p.operations()["contact_write"])
	for range 3 {
		p.applyRead(id)
		p.exec(t, `UPDATE virtuous_contact_queue SET compare_wanted_at = rollcall_now()`)
		p.work()
		p.reconcile(t, "acme", bus.CategoryDrift)
	}
	require.Equal(t, 1, p.operations()["contact_write"])
	fields, state := p.states("donor-1")
	require.Empty(t, fields)
	require.Equal(t, "in_sync", state)
}

func TestTwoSystemsThatCorrectEachOtherAreStopped(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Policy: resolution.MostRecentWins})
	id := p.add("donor-1")
	mine, theirs := person("donor-1"), person("donor-1")
	theirs.Phone = "555-010-0777"
	for i := range 10 {
		p.publish(theirs, time.Now().Add(time.Duration(i)*time.Minute)) // the platform puts its number back
		p.work()
		p.edit(id, map[string]any{"phone": mine.Phone}) // and so does a rule at Virtuous
		p.applyRead(id)
		p.work()
		p.publish(mine, time.Now().Add(time.Duration(i)*time.Minute)) // the platform takes it
		p.work()
	}
	p.publish(theirs, time.Now().Add(time.Hour))
	p.work()
	fields, state := p.states("donor-1")
	require.Equal(t, map[string]string{"phone": "conflict turns"}, fields)
	require.Equal(t, "conflict", state)
	require.LessOrEqual(t, p.operations()["contact_write"], 2)
}

func TestAnEmailThatAnotherContactHasIsAConflictThatNamesBoth(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Owners: all(resolution.OwnerPartner)})
	id, holder := p.add("donor-1"), p.add("donor-2")
	version := person("donor-1")
	version.Email, version.Phone = person("donor-2").Email, "555-010-0177"
	p.publish(version, time.Time{})
	p.work()

	fields, state := p.states("donor-1")
	require.Equal(t, map[string]string{"email": "conflict duplicate_email"}, fields, "the phone number was written")
	require.Equal(t, "conflict", state)
	require.Equal(t, []int64{holder}, column[int64](t, p.fixture, `SELECT other_contact_id FROM contact_differences WHERE reason = 'duplicate_email'`))
	item := column[int64](t, p.fixture, `SELECT id FROM review_items
		WHERE state = 'open' AND kind = 'contact' AND reason = 'duplicate_email' AND record_id = $1`, strconv.FormatInt(id, 10))
	require.Len(t, item, 1)
	_, sealed, err := p.store.Review(t.Context(), "acme", item[0])
	require.NoError(t, err)
	plain, err := p.vault.Open(t.Context(), "acme", store.PurposeReviewDetails, sealed)
	require.NoError(t, err)
	var details []operatorapi.ReviewDetail
	require.NoError(t, json.Unmarshal(plain, &details))
	require.Equal(t, []operatorapi.ReviewDetail{
		{Field: "email", Partner: version.Email, Virtuous: person("donor-1").Email}, {Field: store.DetailOtherContact, Virtuous: strconv.FormatInt(holder, 10)},
	}, details)

	p.edit(holder, map[string]any{"email": "moved@example.org"})
	p.decide("email", store.DifferenceTakePartner)
	p.work()
	require.Equal(t, version.Email, p.contact(id).Email())
	fields, _ = p.states("donor-1")
	require.Empty(t, fields)
	require.Empty(t, column[int64](t, p.fixture, `SELECT id FROM review_items WHERE state = 'open'`))
}

// decide has an operator decide about the conflict of a field.
func (p *pairs) decide(field, decision string) {
	p.t.Helper()
	id := column[int64](p.t, p.fixture, `SELECT id FROM contact_differences WHERE field = $1 AND state = 'conflict'`, field)
	require.Len(p.t, id, 1)
	one, err := p.store.ContactDifference(p.t.Context(), "acme", id[0])
	require.NoError(p.t, err)
	require.NoError(p.t, p.store.InTx(p.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		decided, err := tx.DecideContactDifference(ctx, "acme", one, decision)
		if err == nil && !decided {
			err = errors.New("it is no conflict")
		}
		return err
	}))
}

func TestAPersonsDecisionIsCarriedOut(t *testing.T) {
	t.Parallel()
	for decision, want := range map[string]string{store.DifferenceTakePartner: "", store.DifferenceTakeVirtuous: "partner_pending"} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			p := newPairs(t, resolution.Rules{})
			id := p.add("donor-1")
			version := person("donor-1")
			version.Email = "new@example.org"
			p.publish(version, time.Time{})
			p.work()
			p.published()
			p.decide("email", decision)
			p.work()
			fields, _ := p.states("donor-1")
			if want == "" {
				require.Empty(t, fields)
				require.Equal(t, "new@example.org", p.contact(id).Email())
				require.Equal(t, []string{"donor-1 email settled"}, p.published())
				return
			}
			require.Equal(t, map[string]string{"email": want}, fields)
			require.Equal(t, person("donor-1").Email, p.contact(id).Email())
			require.Equal(t, []string{"donor-1 email partner_pending"}, p.published())

			p.settleApplied("donor-1")
			fields, state := p.states("donor-1")
			require.Empty(t, fields)
			require.Equal(t, "in_sync", state)
			p.publish(person("donor-1"), time.Time{}) // the platform's next version has the value
			p.work()
			require.Empty(t, p.published())
		})
	}
}

// settleApplied has the platform say that it has Virtuous' values.
func (p *pairs) settleApplied(reference string) {
	p.t.Helper()
	id := column[int64](p.t, p.fixture, `SELECT id FROM virtuous_contact_queue WHERE reference_id = $1`, reference)
	pair, err := p.store.ContactPair(p.t.Context(), "acme", id[0])
	require.NoError(p.t, err)
	require.NoError(p.t, p.store.InTx(p.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.SettleApplied(ctx, "acme", id[0], []string{}); err != nil {
			return err
		}
		return tx.SetContactSyncState(ctx, "acme", pair.VirtuousContactID)
	}))
}

func TestAChangeAtVirtuousIsComparedOnceItIsKnown(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{})
	id := p.add("donor-1")
	p.edit(id, map[string]any{"tags": []string{"gala"}})
	p.applyRead(id)
	require.Zero(t, p.count(`SELECT count(*) FROM virtuous_contact_queue WHERE compare_wanted_at IS NOT NULL`), "tags are not compared")
	p.edit(id, map[string]any{"email": "staff@example.org"})
	p.applyRead(id)
	p.work()
	require.Equal(t, []string{"donor-1 email partner_pending"}, p.published())
	fields, state := p.states("donor-1")
	require.Equal(t, map[string]string{"email": "partner_pending"}, fields)
	require.Equal(t, "partner_pending", state)

	version := person("donor-1")
	version.Email = "staff@example.org"
	p.publish(version, time.Time{}) // the platform took it, and did not say so
	p.work()
	require.Equal(t, []string{"donor-1 email settled"}, p.published())
}

func TestDriftComparesPairsThatCountAsEqualAndChangedLately(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{})
	p.add("drifted")
	p.add("old")
	p.add("waits")
	p.add("equal")
	for _, reference := range []string{"drifted", "old", "waits"} {
		p.hold(other(reference), time.Time{})
	}
	p.exec(t, `UPDATE virtuous_contact_queue SET partner_published_at = rollcall_now() - interval '31 days' WHERE reference_id = 'old'`)
	p.exec(t, `UPDATE partner_contacts c SET modified_at = rollcall_now() - interval '31 days' FROM virtuous_contact_queue q
		WHERE q.virtuous_contact_id = c.virtuous_contact_id AND q.reference_id = 'old'`)
	p.exec(t, `UPDATE partner_contacts c SET sync_state = 'conflict' FROM virtuous_contact_queue q
		WHERE q.virtuous_contact_id = c.virtuous_contact_id AND q.reference_id = 'waits'`)
	before := p.operations()["contact"]
	p.reconcile(t, "acme", bus.CategoryDrift)
	require.Equal(t, before+2, p.operations()["contact"], "drifted and equal")
	published := p.published()
	require.Len(t, published, 4)
	require.Equal(t, "drifted address partner_pending", published[0])
}

// A crash between any two steps of a write loses no change and makes none twice.
func TestAComparisonGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"contact_read", "judged", "written", "noted"} {
		for nth := range 2 {
			t.Run(fmt.Sprintf("%s %d", place, nth), func(t *testing.T) {
				t.Parallel()
				p := newPairs(t, resolution.Rules{Owners: all(resolution.OwnerPartner)})
				id := p.add("donor-1")
				p.publish(other("donor-1"), time.Time{})
				died, seen := errors.New("the process died"), 0
				p.reconciler.reached = func(reached string) error {
					if reached == place {
						if seen++; seen == nth+1 {
							return died
						}
					}
					return nil
				}
				p.work()
				p.work()
				p.work()
				fields, state := p.states("donor-1")
				require.Empty(t, fields)
				require.Equal(t, "in_sync", state)
				partner, ours := sidesOf(other("donor-1"), p.contact(id))
				require.Empty(t, resolution.Compare(partner, ours))
				require.Len(t, p.published(), len(resolution.Fields()), "each field has one event")
				require.LessOrEqual(t, p.operations()["contact_write"], len(resolution.Fields())+1)
			})
		}
	}
}

func TestAVersionThatComesDuringAComparisonIsCompared(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Owners: all(resolution.OwnerPartner)})
	id := p.add("donor-1")
	first, second := person("donor-1"), person("donor-1")
	first.Phone, second.Phone = "555-010-0188", "555-010-0189"
	p.publish(first, time.Time{})
	var once bool
	p.reconciler.reached = func(place string) error {
		if place == "written" && !once {
			once = true
			p.publish(second, time.Time{})
		}
		return nil
	}
	p.work()
	p.work()
	require.Equal(t, second.Phone, p.contact(id).Phone())
	fields, _ := p.states("donor-1")
	require.Empty(t, fields)
}

func TestAnswersThatSayNothingOfAContactPutItsComparisonOff(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"a page of a website":           `{"target":"virtuous","operation":"contact","kind":"page"}`,
		"500":                           `{"target":"virtuous","operation":"contact","kind":"status","status":500}`,
		"500 to writes":                 `{"target":"virtuous","operation":"contact_write","kind":"status","status":500}`,
		"a page of a website to writes": `{"target":"virtuous","operation":"contact_write","kind":"page"}`,
		"no answer to a write":          `{"target":"virtuous","operation":"contact_write","kind":"lost_answer","count":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPairs(t, resolution.Rules{Owners: all(resolution.OwnerPartner)})
			id := p.add("donor-1")
			p.publish(other("donor-1"), time.Time{})
			p.fault(rule)
			p.work()
			require.Empty(t, p.published(), "nothing is known to be done")
			require.EqualValues(t, 0, p.count(`SELECT count(*) FROM review_items`))
			require.EqualValues(t, 1, p.count(`SELECT count(*) FROM virtuous_contact_queue WHERE compare_wanted_at IS NOT NULL`))
			p.fault("")
			p.advance(t, time.Hour)
			p.work()
			partner, ours := sidesOf(other("donor-1"), p.contact(id))
			require.Empty(t, resolution.Compare(partner, ours))
			fields, state := p.states("donor-1")
			require.Empty(t, fields)
			require.Equal(t, "in_sync", state)
		})
	}
}

func TestOpenDifferencesAreDecidedByNewRules(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Policy: resolution.OwnersOnly})
	id := p.add("donor-1")
	p.publish(other("donor-1"), time.Time{})
	p.work()
	fields, _ := p.states("donor-1")
	require.Equal(t, all("conflict no_rule"), fields)

	config, err := p.store.VirtuousConfig(t.Context(), "acme")
	require.NoError(t, err)
	change := func(rules resolution.Rules) {
		config.Resolution, err = rules.Encode()
		require.NoError(t, err)
		require.NoError(t, p.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ChangeVirtuous(ctx, config) }))
	}
	change(resolution.Rules{Policy: resolution.OwnersOnly}) // the same
	require.Zero(t, p.count(`SELECT count(*) FROM virtuous_contact_queue WHERE compare_wanted_at IS NOT NULL`))
	change(resolution.Rules{Owners: all(resolution.OwnerPartner)})
	p.work()
	fields, state := p.states("donor-1")
	require.Empty(t, fields)
	require.Equal(t, "in_sync", state)
	require.Equal(t, other("donor-1").Email, p.contact(id).Email())
	require.Zero(t, p.count(`SELECT count(*) FROM review_items WHERE state = 'open'`))
}

func TestRulesThatChangeDuringARoundDecide(t *testing.T) {
	t.Parallel()
	p := newPairs(t, resolution.Rules{Policy: resolution.OwnersOnly})
	id := p.add("donor-1")
	p.publish(other("donor-1"), time.Time{})
	p.reconciler.reached = func(place string) error {
		if place == "contact_read" { // the round has the rules of its begin
			p.rules(resolution.Rules{Owners: all(resolution.OwnerPartner)})
		}
		return nil
	}
	p.work()
	fields, _ := p.states("donor-1")
	require.Empty(t, fields)
	require.Equal(t, other("donor-1").Email, p.contact(id).Email())
}
