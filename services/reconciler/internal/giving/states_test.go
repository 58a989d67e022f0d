package giving

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAgeAndAnswerDecideWhatBecomesOfASubmittedDonation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const day = 24 * time.Hour
	for _, age := range []time.Duration{day - time.Second, day, day + time.Second, 3*day - time.Second, 3 * day, 3*day + time.Second} {
		for _, answer := range []string{"gift", "404", "401", "403", "429", "500", "timeout", "html", "transaction"} {
			customer := strings.ToLower(fmt.Sprintf("c-%d-%s", int(age.Seconds()), answer))
			f.onboard(t, customer)
			f.submitted(t, customer, "don-"+customer, age)
			f.answer(customer, answer)
			if answer == "gift" {
				f.gift(int64(age.Seconds()), "don-"+customer, noon)
			}
			state, logged := "submitted", []string{}
			switch {
			case answer == "gift" && age > day:
				state = fmt.Sprintf("confirmed reconciliation_lookup %d", int(age.Seconds()))
				logged = []string{fmt.Sprintf("stuck don-%s %d auto_recovered", customer, int(age.Seconds()))}
			case answer == "404" && age > 3*day:
				state, logged = "needs_review import_not_run", []string{"needs_update don-" + customer + " marked_needs_review"}
			}

			f.reconcile(t, customer, CategoryStuck, CategoryNeedsUpdate)

			require.Equal(t, []string{"don-" + customer + " " + state}, f.donations(t, customer), customer)
			require.Equal(t, logged, f.logged(t, customer), customer)
		}
	}
}

func TestNeedsUpdateAloneDecidesByAgeAndAnswerToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "due", 72*time.Hour)
	f.submitted(t, "acme", "late", 72*time.Hour+time.Second)
	f.submitted(t, "acme", "found", 72*time.Hour+2*time.Second)
	f.gift(5, "found", noon)

	f.reconcile(t, "acme", CategoryNeedsUpdate)

	require.Equal(t, []string{"due submitted", "late needs_review match_needed", "found confirmed reconciliation_lookup 5"}, f.donations(t, "acme"),
		"found was submitted on the same day, so the import was run")
	require.Equal(t, []string{"needs_update found 5 auto_recovered", "needs_update late marked_needs_review"}, f.logged(t, "acme"))
	require.Empty(t, f.alerts(t, "acme"))
}

func TestLookupByStuckIsNotRepeatedWithinAnHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.submitted(t, "acme", "don-1", 72*time.Hour-59*time.Minute)
	f.reconcile(t, "acme", CategoryStuck)
	require.Equal(t, []string{"/Gift/AcmeGive/don-1"}, f.requests())
	f.advance(t, 59*time.Minute+time.Second)
	f.submitted(t, "acme", "don-2", 80*time.Hour)

	f.reconcile(t, "acme", CategoryNeedsUpdate)

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
		f.reconcile(t, "acme", CategoryStuck, CategoryNeedsUpdate)
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
	f.reconcile(t, "acme", CategoryNeedsUpdate)
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
			f.reconcile(t, "acme", CategoryNeedsUpdate)
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
	f.reconcile(t, "acme", CategoryNeedsUpdate)
	require.Equal(t, []string{"don-1 confirmed reconciliation_lookup match_needed 9"}, replaceReason(f.donations(t, "acme")))
}

// replaceReason hides why a confirmed donation was in review.
func replaceReason(rows []string) []string {
	for i := range rows {
		rows[i] = strings.Replace(rows[i], "import_not_run", "match_needed", 1)
	}
	return rows
}

func TestManyStuckDonationsAreQueriedBeforeTheyAreLookedUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	for i := range 51 {
		id := fmt.Sprintf("don-%02d", i)
		f.submitted(t, "acme", id, 30*time.Hour)
		if i < 49 {
			f.gift(int64(i+1), id, noon)
		}
	}

	f.reconcile(t, "acme", CategoryStuck)

	var lookups []string
	for _, one := range f.requests() {
		if strings.HasPrefix(one, "/Gift/AcmeGive/") {
			lookups = append(lookups, one)
		}
	}
	require.Equal(t, []string{"/Gift/AcmeGive/don-49", "/Gift/AcmeGive/don-50"}, lookups)
	require.Equal(t, []int64{49}, column[int64](t, f, `SELECT count(*) FROM virtuous_donation_queue WHERE recovery_path = 'reconciliation_query'`))
	require.Equal(t, []int64{49}, column[int64](t, f, `SELECT count(*) FROM virtuous_reconciliation_log
		WHERE category = 'stuck' AND resolution = 'auto_recovered'`))
}
