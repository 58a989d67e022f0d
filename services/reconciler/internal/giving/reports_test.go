package giving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
)

// reports returns what a process stores reports with.
func (f *fixture) reports(on *store.Store) *Reports {
	return &Reports{Store: on, Logger: zap.NewNop(), Reporter: dailyreport.Reporter{
		Limits: dailyreport.DefaultLimits(), Floors: dailyreport.DefaultFloors(),
	}}
}

// daily onboards a customer whose daily run is due.
func (f *fixture) daily(t testing.TB, customer, zone string) {
	t.Helper()
	f.onboard(t, customer)
	f.exec(t, `UPDATE virtuous_configs SET next_report_at = rollcall_now(), time_zone = $2 WHERE customer_id = $1`, customer, zone)
}

// look has the reconciler look for what is due, and returns the customers that are to have a round.
func (f *fixture) look(t testing.TB) (customers []string) {
	t.Helper()
	found, err := f.reconciler.look(t.Context())
	require.NoError(t, err)
	for _, one := range found {
		customers = append(customers, one.ID)
	}
	return customers
}

func (f *fixture) storeReports(t testing.TB) int {
	t.Helper()
	stored, err := f.reports(f.store).StoreDue(t.Context())
	require.NoError(t, err)
	return stored
}

func (f *fixture) stored(t testing.TB) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', customer_id, date) FROM giving_reports ORDER BY 1`)
}

func TestDailyRunEndsWithTheReportOfTheDay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.daily(t, "acme", "America/Phoenix")
	f.submitted(t, "acme", "found", 80*time.Hour)
	f.submitted(t, "acme", "not found", 80*time.Hour)
	f.gift(5, "found", noon)

	require.Equal(t, []string{"acme"}, f.look(t))
	require.Equal(t, []string{"stuck", "needs_update", "missed_webhook", "report"},
		column[string](t, f, `SELECT category FROM giving_reconciliations ORDER BY place`))
	require.Zero(t, f.storeReports(t), "the other categories come first")
	f.reconcile(t, "acme")
	require.Equal(t, []bool{true}, column[bool](t, f, `SELECT last_reconciled_at = rollcall_now() FROM virtuous_configs`), "the report is no part of that")
	require.Empty(t, f.look(t))
	require.Equal(t, 1, f.storeReports(t))

	made, err := dailyreport.Of(t.Context(), f.store.Conn, "acme", "2026-03-04")
	require.NoError(t, err)
	require.Zero(t, made.Metrics.SubmittedLate.Value)
	require.EqualValues(t, 1, made.Metrics.NeedsReview.ByReason.MatchNeeded)
	require.EqualValues(t, 1, made.Metrics.RecoveredShare.Recovered)
	require.Empty(t, column[string](t, f, `SELECT category FROM giving_reconciliations`))
	require.Zero(t, f.storeReports(t))
}

func TestReportIsOfTheOrganizationsDayAndMadeInItsNight(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // 19:00 UTC
	for customer, zone := range map[string]string{"phoenix": "America/Phoenix", "auckland": "Pacific/Auckland", "nowhere": "Atlantis/Poseidonis"} {
		f.daily(t, customer, zone)
	}
	days := func() []string {
		f.look(t)
		for _, customer := range []string{"auckland", "nowhere", "phoenix"} {
			f.reconcile(t, customer)
		}
		f.storeReports(t)
		return f.stored(t)
	}
	first := []string{"auckland 2026-03-05", "nowhere 2026-03-04", "phoenix 2026-03-04"}
	require.Equal(t, first, days())
	require.Equal(t, []bool{true, true, true}, column[bool](t, f, `SELECT next_report_at > rollcall_now() AND (next_report_at AT TIME ZONE
		CASE WHEN customer_id = 'nowhere' THEN 'UTC' ELSE time_zone END)::time BETWEEN '00:30' AND '05:00' FROM virtuous_configs`))

	f.advance(t, 5*time.Hour+29*time.Minute)
	require.Equal(t, first, days(), "before all nights")
	f.advance(t, 17*time.Hour+31*time.Minute)
	require.Equal(t, []string{
		"auckland 2026-03-05", "auckland 2026-03-06", "nowhere 2026-03-04", "nowhere 2026-03-05", "phoenix 2026-03-04", "phoenix 2026-03-05",
	}, days(), "after all nights")
}

func TestReportIsStoredWithoutVirtuous(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, customer := range []string{"held", "off", "offboarded", "paused", "removed"} {
		f.daily(t, customer, "America/Phoenix")
		f.submitted(t, customer, "don-1", 80*time.Hour)
	}
	f.exec(t, `INSERT INTO giving_holds VALUES ('held', 'virtuous_unavailable', NULL, 1, rollcall_now(), rollcall_now(), 'infinity')`)
	f.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'paused'`)
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed' WHERE customer_id = 'off'`)
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed', removed_at = rollcall_now() WHERE customer_id = 'removed'`)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.OffboardGiving(ctx, "offboarded") }))

	require.Empty(t, f.look(t))
	require.Equal(t, 1, f.storeReports(t))
	require.Equal(t, []string{"off 2026-03-04"}, f.stored(t), "nothing of the key that was rejected is waited for")
	f.advance(t, time.Hour-time.Second)
	require.Zero(t, f.storeReports(t))
	f.advance(t, time.Second)
	require.Equal(t, 2, f.storeReports(t))

	require.Equal(t, []string{"held 2026-03-04", "off 2026-03-04", "paused 2026-03-04"}, f.stored(t))
	require.Empty(t, f.requests())
	made, err := dailyreport.Of(t.Context(), f.store.Conn, "paused", "2026-03-04")
	require.NoError(t, err)
	require.EqualValues(t, 1, made.Metrics.SubmittedLate.Value)
	require.Equal(t, []string{"missed_webhook", "needs_update", "stuck"},
		column[string](t, f, `SELECT category FROM giving_reconciliations WHERE customer_id = 'paused' ORDER BY 1`), "they wait for the end of the pause")
}

func TestCrashStoresNoReportTwiceAndLosesNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.daily(t, "acme", "America/Phoenix")
	f.look(t)
	f.reconcile(t, "acme")
	dies := f.reports(f.store)
	dies.reached = func(string) error { return errors.New("the process died") }
	stored, err := dies.StoreDue(t.Context())
	require.NoError(t, err)
	require.Zero(t, stored)
	require.Empty(t, f.stored(t))

	require.Equal(t, 1, f.storeReports(t))
	require.Zero(t, f.storeReports(t))

	require.Equal(t, []string{"acme 2026-03-04"}, f.stored(t))
}

func TestReportThatFailsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, customer := range []string{"a", "b", "c"} {
		f.daily(t, customer, "America/Phoenix")
	}
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	f.look(t)
	f.exec(t, `ALTER TABLE giving_reports ADD CHECK (customer_id <> 'b')`)

	require.Equal(t, 2, f.storeReports(t))
	require.Equal(t, []string{"b"}, column[string](t, f, `SELECT customer_id FROM giving_reconciliations`))
}

func TestTwoProcessesStoreEachReportOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const customers = 60
	for i := range customers {
		f.daily(t, fmt.Sprintf("c%02d", i), "America/Phoenix")
	}
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	other, err := store.Open(t.Context(), f.pool.Config().ConnString(), store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	var both sync.WaitGroup
	stored, errs := make([]int, 2), make([]error, 2)
	for i, on := range []*store.Store{f.store, other} {
		scheduler := *f.reconciler
		scheduler.Store = on
		both.Go(func() {
			_, errs[i] = scheduler.look(t.Context())
			var err error
			stored[i], err = f.reports(on).StoreDue(t.Context())
			errs[i] = errors.Join(errs[i], err)
		})
	}
	both.Wait()
	require.NoError(t, errors.Join(errs...))
	left := f.storeReports(t) // those that one process had scheduled when the other one had looked already

	require.Equal(t, customers, stored[0]+stored[1]+left)
	require.Len(t, f.stored(t), customers)
}

func TestHoursOfTheSettingsDecideWhenADonationIsLate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard(t, "acme")
	f.exec(t, `UPDATE virtuous_configs SET stuck_after_hours = 2, needs_review_after_hours = 5`)
	for _, age := range []time.Duration{2 * time.Hour, 2*time.Hour + time.Second, 5 * time.Hour, 5*time.Hour + time.Second} {
		f.submitted(t, "acme", age.String(), age)
	}

	f.reconcile(t, "acme", bus.CategoryStuck)
	require.Equal(t, []string{"/Gift/AcmeGive/5h0m1s", "/Gift/AcmeGive/5h0m0s", "/Gift/AcmeGive/2h0m1s"}, f.requests())
	f.reconcile(t, "acme", bus.CategoryNeedsUpdate)

	require.Equal(t, []string{"2h0m0s submitted", "2h0m1s submitted", "5h0m0s submitted", "5h0m1s needs_review import_not_run"}, f.donations(t, "acme"))
}

func TestReportHasTheLimitsOfTheInstallation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.daily(t, "acme", "America/Phoenix")
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed'`)
	f.submitted(t, "acme", "don-1", 80*time.Hour)
	f.look(t)
	reports := f.reports(f.store)
	var err error
	reports.Reporter.Limits, err = dailyreport.ParseLimits("submittedLate=1/5")
	require.NoError(t, err)

	_, err = reports.StoreDue(t.Context())

	require.NoError(t, err)
	encoded, err := f.store.GivingReport(t.Context(), "acme", "2026-03-04")
	require.NoError(t, err)
	var made dailyreport.Report
	require.NoError(t, json.Unmarshal(encoded, &made))
	require.Equal(t, dailyreport.OK, made.Metrics.SubmittedLate.State)
	require.Equal(t, "up to 1", made.Metrics.SubmittedLate.Healthy)
}
