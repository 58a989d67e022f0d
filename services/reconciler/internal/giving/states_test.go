package giving

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

const day = 24 * time.Hour

// run is which categories are worked.
type run struct {
	name       string
	categories []string
}

func runs() []run {
	return []run{
		{"stuck", []string{bus.CategoryStuck}},
		{"needs_update", []string{bus.CategoryNeedsUpdate}},
		{"both", []string{bus.CategoryStuck, bus.CategoryNeedsUpdate}},
	}
}

// decided returns what a run makes of a donation or contact without a state before, and its row in the log.
func (r run) decided(donation string, gift int64, age time.Duration, answer string) (state string, logged []string) {
	const stuckAfter, reviewAfter = day, 3 * day
	recoveredBy := ""
	switch looksUp := func(category string, after time.Duration) bool {
		return slices.Contains(r.categories, category) && age > after
	}; {
	case looksUp(bus.CategoryStuck, stuckAfter):
		recoveredBy = bus.CategoryStuck
	case looksUp(bus.CategoryNeedsUpdate, reviewAfter):
		recoveredBy = bus.CategoryNeedsUpdate
	}
	switch {
	case (answer == "gift" || answer == "contact") && recoveredBy != "":
		return fmt.Sprintf("confirmed reconciliation_lookup %d", gift), []string{fmt.Sprintf("%s %s %d auto_recovered", recoveredBy, donation, gift)}
	case answer == "404" && age > reviewAfter && slices.Contains(r.categories, bus.CategoryNeedsUpdate):
		return "needs_review import_not_run", []string{"needs_update " + donation + " marked_needs_review"}
	}
	return "submitted", []string{}
}

// decide works a run for a customer with one donation, and requires what it decides.
func (f *fixture) decide(t *testing.T, of run, age time.Duration, answer string) {
	t.Helper()
	customer := strings.ToLower(fmt.Sprintf("%s-%d-%s", of.name, int(age.Seconds()), answer))
	donation, gift := "don-"+customer, int64(age.Seconds())
	f.onboard(t, customer)
	f.submitted(t, customer, donation, age)
	f.answer(customer, answer)
	if answer == "gift" {
		f.gift(gift, donation, noon)
	}
	state, logged := of.decided(donation, gift, age, answer)

	f.reconcile(t, customer, of.categories...)

	require.Equal(t, []string{donation + " " + state}, f.donations(t, customer), customer)
	require.Equal(t, logged, f.logged(t, customer), customer)
}

// decideContact is decide for a contact of the platform.
func (f *fixture) decideContact(t *testing.T, of run, age time.Duration, answer string) {
	t.Helper()
	customer := strings.ToLower(fmt.Sprintf("contact-%s-%d-%s", of.name, int(age.Seconds()), answer))
	reference, id := "donor-"+customer, int64(age.Seconds())
	f.onboard(t, customer)
	f.submittedContact(t, customer, reference, age)
	f.answer(customer, answer)
	if answer == "contact" {
		f.referred(id, reference, noon)
	}
	state, logged := of.decided(reference, id, age, answer)

	f.reconcile(t, customer, of.categories...)

	require.Equal(t, []string{reference + " " + state}, f.sentContacts(t, customer), customer)
	require.Equal(t, logged, f.logged(t, customer), customer)
}

func ages() []time.Duration {
	return []time.Duration{day - time.Second, day, day + time.Second, 3*day - time.Second, 3 * day, 3*day + time.Second}
}

func TestAgeAndAnswerDecideWhatBecomesOfASubmittedDonation(t *testing.T) {
	t.Parallel()
	for _, of := range runs() {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, age := range ages() {
				for _, answer := range []string{"gift", "404", "401", "403", "429", "500", "broken", "html", "transaction"} {
					f.decide(t, of, age, answer)
				}
			}
		})
	}
}

func TestAgeAndAnswerDecideWhatBecomesOfASubmittedContact(t *testing.T) {
	t.Parallel()
	for _, of := range runs() {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, age := range ages() {
				for _, answer := range []string{"contact", "404", "401", "403", "429", "500", "broken", "html", "transaction"} {
					f.decideContact(t, of, age, answer)
				}
			}
		})
	}
}

func TestVirtuousThatDoesNotAnswerInTimeChangesNoContact(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reconciler.Virtuous.Timeout = 20 * time.Millisecond // no request of this test has an answer
	for _, of := range runs() {
		for _, age := range ages() {
			f.decideContact(t, of, age, "timeout")
		}
	}
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT bool_and(looked_up_at IS NULL) FROM virtuous_contact_queue`))
}

func TestContactAfterTheReviewBeganIsConfirmedByALookupAndByTheQuery(t *testing.T) {
	t.Parallel()
	for category, path := range map[string]string{bus.CategoryNeedsUpdate: "reconciliation_lookup", bus.CategoryMissedWebhook: "reconciliation_query"} {
		t.Run(category, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.onboard(t, "acme")
			f.submittedContact(t, "acme", "donor-1", 73*time.Hour)
			f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
			require.Equal(t, []string{"donor-1 needs_review import_not_run"}, f.sentContacts(t, "acme"))
			require.Equal(t, []string{"import_not_run"}, f.alerts(t, "acme"))
			f.advance(t, day)
			f.referred(5, "donor-1", noon.Add(day))

			f.reconcile(t, "acme", category)

			require.Equal(t, []string{"donor-1 confirmed " + path + " import_not_run 5"}, f.sentContacts(t, "acme"))
			require.Equal(t, []string{"contact.needs_review", "contact.confirmed"}, column[string](t, f,
				`SELECT split_part(subject, '.', 3) || '.' || split_part(subject, '.', 4) FROM outbox
				WHERE subject LIKE 'rollcall.events.contact.needs_review.%' OR subject LIKE 'rollcall.events.contact.confirmed.%' ORDER BY id`))
			require.Len(t, f.logged(t, "acme"), 2)
			f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
			require.Empty(t, f.alerts(t, "acme"))
		})
	}
}

func TestVirtuousThatDoesNotAnswerInTimeChangesNoDonation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.reconciler.Virtuous.Timeout = 20 * time.Millisecond // no request of this test has an answer
	for _, of := range runs() {
		for _, age := range ages() {
			f.decide(t, of, age, "timeout")
		}
	}
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT bool_and(looked_up_at IS NULL) FROM virtuous_donation_queue`))
}

func TestGiftAfterTheReviewBeganConfirmsItsDonation(t *testing.T) {
	t.Parallel()
	const reviewed = "needs_update don-1 marked_needs_review"
	for way, one := range map[string]struct {
		state  string
		logged []string
	}{
		"webhook":                 {"don-1 confirmed import_not_run 5", []string{reviewed}},
		bus.CategoryNeedsUpdate:   {"don-1 confirmed reconciliation_lookup import_not_run 5", []string{reviewed, "needs_update don-1 5 auto_recovered"}},
		bus.CategoryMissedWebhook: {"don-1 confirmed reconciliation_query import_not_run 5", []string{reviewed, "missed_webhook don-1 5 applied_inbound"}},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.onboard(t, "acme")
			f.submitted(t, "acme", "don-1", 73*time.Hour)
			f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
			require.Equal(t, []string{"don-1 needs_review import_not_run"}, f.donations(t, "acme"))
			f.advance(t, day)
			f.gift(5, "don-1", noon.Add(day))

			if way == "webhook" {
				f.webhook(t, "acme", "don-1")
			} else {
				f.reconcile(t, "acme", way)
			}

			require.Equal(t, []string{one.state}, f.donations(t, "acme"))
			require.Equal(t, one.logged, f.logged(t, "acme"))
			require.Equal(t, []int64{1}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.gift.confirmed.acme'`))
		})
	}
}

func TestReasonOfAReviewIsMatchNeededIfAnotherDonationOfTheDayHasItsGift(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "late", 72*time.Hour+time.Second)
	f.submitted(t, "acme", "found", 72*time.Hour+2*time.Second)
	f.gift(5, "found", noon)

	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)

	require.Equal(t, []string{"late needs_review match_needed", "found confirmed reconciliation_lookup 5"}, f.donations(t, "acme"))
	require.Empty(t, f.alerts(t, "acme"))
}

func TestLookupByStuckIsNotRepeatedWithinAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 72*time.Hour-59*time.Minute)
	f.reconcile(t, "acme", bus.CategoryStuck)
	require.Equal(t, []string{"/Gift/AcmeGive/don-1"}, f.requests())
	f.advance(t, 59*time.Minute+time.Second)
	f.submitted(t, "acme", "don-2", 80*time.Hour)

	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)

	require.Equal(t, []string{"/Gift/AcmeGive/don-2"}, f.requests())
	require.Equal(t, []string{"don-1 needs_review import_not_run", "don-2 needs_review import_not_run"}, f.donations(t, "acme"))
}

func TestALongWeekendWithoutAnImportRaisesOneAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	for i := range 200 {
		f.submitted(t, "acme", fmt.Sprintf("don-%03d", i), 90*time.Hour)
	}

	for range 3 {
		f.reconcile(t, "acme", bus.CategoryStuck, bus.CategoryNeedsUpdate)
		f.advance(t, 6*time.Hour)
	}

	require.Equal(t, []string{"import_not_run"}, f.alerts(t, "acme"))
	require.Equal(t, []int64{1}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`))
	require.Equal(t, []int64{200}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE review_reason = 'import_not_run'`))
	require.Equal(t, []int64{200}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.events.donation.needs_review.%'`))

	for i := range 200 {
		f.gift(int64(1000+i), fmt.Sprintf("don-%03d", i), noon)
	}
	f.advance(t, 24*time.Hour)
	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
	require.Empty(t, f.alerts(t, "acme"), "staff ran the import")
}

func TestDonationsInReviewAreLookedUpOnceADayForAMonthAndThenWeekly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 73*time.Hour)
	lookups := make([]int, 50)
	for day := range lookups {
		for range 4 {
			f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
			f.advance(t, 6*time.Hour)
		}
		lookups[day] = len(f.requests())
	}
	for day, count := range lookups {
		switch {
		case day <= 30:
			require.Equal(t, 1, count, "day %d", day)
		case (day-30)%7 == 0:
			require.Equal(t, 1, count, "day %d", day)
		default:
			require.Zero(t, count, "day %d", day)
		}
	}
	f.gift(9, "don-1", noon)
	f.advance(t, 7*24*time.Hour)
	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)
	require.Equal(t, []string{"don-1 confirmed reconciliation_lookup match_needed 9"}, replaceReason(f.donations(t, "acme")))
}

// replaceReason hides why a confirmed donation was in review.
func replaceReason(rows []string) []string {
	for i := range rows {
		rows[i] = strings.Replace(rows[i], "import_not_run", "match_needed", 1)
	}
	return rows
}
