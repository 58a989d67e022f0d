package giving

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/store"
)

// live begins the daily life of a customer whose reports are made at noon.
func (f *fixture) live(t testing.TB, customers ...string) {
	t.Helper()
	for _, customer := range customers {
		f.onboard(t, customer)
		f.exec(t, `UPDATE virtuous_configs SET next_report_at = rollcall_now() WHERE customer_id = $1`, customer)
	}
}

// day works the daily run of all customers, and moves the clocks to the next day.
func (f *fixture) day(t testing.TB) {
	t.Helper()
	for _, customer := range f.look(t) {
		f.reconcile(t, customer)
	}
	require.Positive(t, f.storeReports(t))
	f.advance(t, 24*time.Hour)
}

// add adds donations in a state, with further columns.
func (f *fixture) add(t testing.TB, customer, prefix string, number int, status, columns, values string) {
	t.Helper()
	f.exec(t, fmt.Sprintf(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed,
		content_hash, created_at, status_at, updated_at, %s)
		SELECT '%s', '%s-' || gen_random_uuid(), '%s', 'AcmeGive', '', '', '', rollcall_now(), rollcall_now(), rollcall_now(), %s
		FROM generate_series(1, %d) n`, columns, customer, prefix, status, values, number))
}

func (f *fixture) fail(t testing.TB, customer string, number int) {
	t.Helper()
	f.add(t, customer, "bad", number, "failed", "last_error", `'amount invalid'`)
}

// inReview adds donations in review that are not looked up again.
func (f *fixture) inReview(t testing.TB, customer, reason string, number int) {
	t.Helper()
	f.add(t, customer, "review", number, "needs_review", "submitted_at, review_reason, next_lookup_at", `rollcall_now(), '`+reason+`', 'infinity'`)
}

// notified returns the messages about alerts of a customer, without those that are not about figures.
func (f *fixture) notified(t testing.TB, customer string) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', m->>'type', CASE WHEN (m->>'cleared')::boolean THEN 'cleared' END, m->>'text')
		FROM (SELECT id, convert_from(payload, 'UTF8')::jsonb AS m FROM outbox WHERE subject LIKE 'rollcall.alerts.%.' || $1) o ORDER BY id`, customer)
}

func TestSpikeOfAFigureRaisesOneAlertThatNamesWhatIsUsual(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme", "globex")
	f.fail(t, "acme", 2)
	for range 10 {
		f.day(t)
	}
	f.fail(t, "acme", 38)
	for range 3 {
		f.day(t)
	}
	require.Equal(t, []string{"giving_failed_high"}, f.alerts(t, "acme"))
	text, _ := event.Explain(event.AlertGivingFailed)
	raised := "giving_failed_high " + text + " The report of 2026-03-14 has 40; usual is 2, the median of the 10 reports before it."
	require.Equal(t, []string{raised}, f.notified(t, "acme"), "one alert, however long it lasts")

	f.exec(t, `UPDATE virtuous_donation_queue SET status = 'closed' WHERE platform_donation_id LIKE 'bad%' AND id % 2 = 0`)
	f.exec(t, `DELETE FROM virtuous_donation_queue WHERE id IN (SELECT id FROM virtuous_donation_queue WHERE status = 'failed' ORDER BY id LIMIT 15)`)
	f.day(t)
	require.Empty(t, f.alerts(t, "acme"), "below the floor")
	require.Equal(t, []string{raised, "giving_failed_high cleared The report of 2026-03-17 has 5; usual is 2, the median of the 13 reports before it."},
		f.notified(t, "acme"))
	require.Empty(t, f.notified(t, "globex"))
}

func TestSpikeNeedsAWeekOfReportsAndAFloor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "small", "young")
	f.fail(t, "small", 1)
	for range 6 {
		f.day(t)
	}
	f.fail(t, "young", 11)
	f.day(t)
	f.fail(t, "small", 9)
	f.day(t)
	require.Empty(t, f.notified(t, "small"), "ten are the floor")
	require.Len(t, f.notified(t, "young"), 1, "seven reports tell what is usual")
	f.fail(t, "small", 1)
	f.day(t)
	require.Len(t, f.notified(t, "small"), 1)
}

func TestSteadyGrowthOfReviewsRaisesOneAlertUnlessImportsAreNotRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme", "globex")
	f.inReview(t, "acme", "match_needed", 20)
	f.inReview(t, "globex", "import_not_run", 20)
	for range 14 {
		f.inReview(t, "acme", "match_needed", 2)
		f.inReview(t, "globex", "import_not_run", 40)
		f.day(t)
	}
	require.Equal(t, []string{"giving_needs_review_high"}, f.alerts(t, "acme"))
	text, _ := event.Explain(event.AlertGivingNeedsReview)
	raised := "giving_needs_review_high " + text + " They grew from 24 to 36 within the last 7 reports and never fell. " +
		"The report of 2026-03-11 has 36; usual is 28, the median of the 7 reports before it."
	require.Equal(t, []string{raised}, f.notified(t, "acme"))
	require.Empty(t, f.notified(t, "globex"), "an import that is not run has its own alert")

	f.exec(t, `DELETE FROM virtuous_donation_queue WHERE id = (SELECT max(id) FROM virtuous_donation_queue WHERE customer_id = 'acme')`)
	f.day(t)
	require.Empty(t, f.alerts(t, "acme"))
	require.Len(t, f.notified(t, "acme"), 2)
}

func TestQuietCustomersRaiseNoAlertInThirtyDays(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "busy", "quiet", "silent")
	for day := range 30 {
		for customer, donations := range map[string]int{"busy": 25, "quiet": 2} {
			f.add(t, customer, "gift", donations, "submitted", "submitted_at", `rollcall_now() - interval '2 hours'`)
		}
		if day%5 == 0 {
			f.fail(t, "busy", 1)
			f.inReview(t, "quiet", "match_needed", 1)
		}
		now := column[time.Time](t, f, `SELECT rollcall_now() AT TIME ZONE 'America/Phoenix'`)[0]
		if weekday := now.Weekday(); weekday != time.Saturday && weekday != time.Sunday { // staff run the imports of the nights before
			f.exec(t, `UPDATE virtuous_donation_queue SET status = 'confirmed', confirmed_at = rollcall_now() - interval '3 hours', virtuous_gift_id = id,
				recovery_path = CASE WHEN id % 40 = 0 AND customer_id = 'busy' THEN 'reconciliation_lookup' END
				WHERE status = 'submitted' AND submitted_at < rollcall_now() - interval '12 hours'`)
			f.exec(t, `DELETE FROM virtuous_donation_queue WHERE status IN ('failed', 'needs_review') AND created_at < rollcall_now() - interval '3 days'`)
		}
		f.day(t)
	}
	require.Equal(t, []int64{90}, column[int64](t, f, `SELECT count(*) FROM giving_reports`))
	require.Equal(t, []int64{0}, column[int64](t, f, `SELECT count(*) FROM alerts`), "also none that was cleared")
	require.Equal(t, []string{"look"}, column[string](t, f, `SELECT DISTINCT report->>'state' FROM giving_reports WHERE report->>'state' <> 'ok'
		AND customer_id = 'quiet'`))
	require.Equal(t, []string{"ok"}, column[string](t, f, `SELECT DISTINCT report->>'state' FROM giving_reports WHERE customer_id = 'silent'`))
}

func TestEachFigureRaisesItsAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme")
	f.confirmed(t, 20, 8*time.Hour, "webhook")
	for range 8 {
		f.day(t)
		f.confirmed(t, 20, 8*time.Hour, "webhook")
	}
	require.Empty(t, f.notified(t, "acme"))

	f.add(t, "acme", "waits", 12, "pending", "next_attempt_at", `'infinity'`)
	f.exec(t, `UPDATE virtuous_donation_queue SET created_at = rollcall_now() - interval '3 hours' WHERE status = 'pending'`)
	f.add(t, "acme", "late", 12, "submitted", "submitted_at", `rollcall_now() - interval '25 hours'`)
	f.inReview(t, "acme", "match_needed", 12)
	f.fail(t, "acme", 12)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, sync_state, content_hash, sealed, created_at, last_sync_at)
		SELECT 'acme', n, 'live', 'conflict', '', '', rollcall_now(), rollcall_now() FROM generate_series(1, 12) n`)
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, category, virtuous_record_id, resolution, run_at)
		SELECT 'acme', 'drift', n, 'noted', rollcall_now() - interval '1 hour' FROM generate_series(1, 12) n`)
	f.confirmed(t, 200, 60*time.Hour, "reconciliation_lookup")
	f.day(t)
	require.Equal(t, event.GivingFigures(), f.alerts(t, "acme"))
	for _, text := range []string{"has 60 h; usual is 8 h", "has 58.82 %; usual is 0 %", "has 12; usual is 0"} {
		require.Contains(t, fmt.Sprint(f.notified(t, "acme")), text)
	}
	require.Contains(t, fmt.Sprint(f.notified(t, "acme")), "the median of the 8 reports before it, and 0 a week before.")
}

// confirmed adds donations that were confirmed within the last day.
func (f *fixture) confirmed(t testing.TB, number int, after time.Duration, path string) {
	t.Helper()
	f.add(t, "acme", path, number, "confirmed", "submitted_at, confirmed_at, virtuous_gift_id, recovery_path",
		fmt.Sprintf(`rollcall_now() - interval '%d seconds', rollcall_now(), 1, nullif('%s', 'webhook')`, int(after.Seconds()), path))
}

func TestManyDonationsOfTheLastHoursAreNoSpike(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme")
	for range 8 {
		f.day(t)
	}
	f.add(t, "acme", "appeal", 500, "pending", "next_attempt_at", `'infinity'`)
	f.day(t)
	require.Empty(t, f.notified(t, "acme"), "after an appeal")
	f.day(t)
	require.Equal(t, []string{"giving_pending_high"}, f.alerts(t, "acme"), "they still wait")
}

func TestDriftIsComparedWithEarlierComparisonsOfContacts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme")
	drift := func(number int) {
		f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, category, virtuous_record_id, resolution, run_at)
			SELECT 'acme', 'drift', n, 'noted', rollcall_now() - interval '1 hour' FROM generate_series(1, $1::integer) n`, number)
	}
	for day := range 30 {
		if day%8 == 3 { // a weekly comparison that comes a day later each time
			drift(20)
		}
		f.day(t)
	}
	require.Empty(t, f.notified(t, "acme"))
	drift(70)
	f.day(t)
	require.Equal(t, []string{"giving_drift_high"}, f.alerts(t, "acme"))
	require.Equal(t, []string{"20", "0", "70"}, column[string](t, f, `SELECT report #>> '{drift,value}' FROM giving_reports
		WHERE date IN ('2026-03-31', '2026-04-02', '2026-04-03') ORDER BY date`))
}

func TestWhatWaitsOnPurposeRaisesNoAlertOfAFigure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "off", "paused")
	for range 8 {
		f.day(t)
	}
	f.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'paused'`)
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'auth_failed' WHERE customer_id = 'off'`)
	for _, customer := range []string{"off", "paused"} {
		f.add(t, customer, "waits", 50, "pending", "next_attempt_at", `rollcall_now()`)
	}
	for range 3 {
		f.look(t)
		f.advance(t, 24*time.Hour) // a paused customer's report waits for its other categories
		f.storeReports(t)
	}
	require.Empty(t, f.notified(t, "off"))
	require.Empty(t, f.notified(t, "paused"))
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	f.day(t)
	require.Equal(t, []string{"giving_pending_high"}, f.alerts(t, "paused"))
}

func TestAlertsOfFiguresFollowTheStoredReportInOneTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme")
	for range 8 {
		f.day(t)
	}
	f.fail(t, "acme", 30)
	f.look(t)
	f.reconcile(t, "acme")
	dies := f.reports(f.store)
	dies.reached = func(string) error { return context.Canceled }
	_, err := dies.StoreDue(t.Context())
	require.NoError(t, err)
	require.Empty(t, f.alerts(t, "acme"))
	require.Equal(t, 1, f.storeReports(t))
	require.Equal(t, []string{"giving_failed_high"}, f.alerts(t, "acme"))

	f.exec(t, `DELETE FROM virtuous_donation_queue WHERE status = 'failed'`)
	byHand := f.reports(f.store).Reporter
	for range 2 {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := byHand.MakeAndStore(ctx, tx, "acme")
			return err
		}))
	}
	require.Empty(t, f.alerts(t, "acme"), "a report by hand takes the place of the day's")
	require.Len(t, f.notified(t, "acme"), 2)
	require.Equal(t, []int64{9}, column[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.events.report.stored.%'`),
		"the daily run alone has a mail sent")
}

func TestReportsOfAnOlderVersionSayNothingOfDrift(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.live(t, "acme")
	f.fail(t, "acme", 1)
	for range 8 {
		f.day(t)
	}
	f.exec(t, `UPDATE giving_reports SET report = report - 'drift'`)
	f.day(t)
	made, err := dailyreport.Of(t.Context(), f.store.Conn, "acme", "2026-03-12")
	require.NoError(t, err)
	require.Nil(t, made.Drift.Baseline)
	require.Equal(t, &dailyreport.Baseline{Median: 1, Reports: 8, WeekBefore: new(1.0)}, made.Metrics.Failed.Baseline)
}
