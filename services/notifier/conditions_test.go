package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// tower is a watch on a database whose clock stands still until the test moves it.
type tower struct {
	*watch
	t    *testing.T
	conn *pgx.Conn
}

func newTower(t *testing.T) *tower {
	t.Helper()
	url := testkit.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	w := &tower{t: t, conn: conn}
	w.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	w.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	w.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	w.watch = &watch{store: from, logger: zaptest.NewLogger(t), bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 10)}
	return w
}

func (w *tower) exec(statement string, args ...any) {
	w.t.Helper()
	_, err := w.conn.Exec(w.t.Context(), statement, args...)
	require.NoError(w.t, err)
}

// steady are customers who are through their first backfill, polled every thirty minutes.
func (w *tower) steady(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		//nolint:dupword // columns of the same moment
		w.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, backfill_completed_at, active_since, updated_at)
			SELECT $1, 'https://crm.example', '{}', at, at, at, at FROM test_clock`, id)
	}
}

// after puts the clock forward and has two replicas look.
func (w *tower) after(d time.Duration) {
	w.t.Helper()
	w.exec(`UPDATE test_clock SET at = at + $1::interval`, d)
	var looking sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			if err := w.look(w.t.Context()); err != nil {
				w.t.Errorf("look: %v", err)
			}
		})
	}
	looking.Wait()
}

// told are the messages so far, as "type customer" or "over type customer", each as often as it was told.
func (w *tower) told() []string {
	w.t.Helper()
	rows, err := w.conn.Query(w.t.Context(), `SELECT CASE WHEN msg_id LIKE '%-cleared' THEN 'over ' ELSE '' END
		|| split_part(subject, '.', 4) || ' ' || split_part(subject, '.', 5) FROM outbox ORDER BY id`)
	require.NoError(w.t, err)
	told, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	w.exec(`DELETE FROM outbox`)
	return told
}

func (w *tower) polled(id string) {
	w.exec(`UPDATE sync_configs SET last_polled_at = rollcall_now() WHERE customer_id = $1`, id)
}

func (w *tower) reconciled(id string) {
	w.exec(`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
		VALUES ($1, 'user_daily', (rollcall_now() - interval '1 day')::date, 1, 0, 0, rollcall_now(), rollcall_now())`, id)
}

func (w *tower) letters(customer string, count int) {
	w.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
		SELECT gen_random_uuid(), $1, 'user', gen_random_uuid(), 's', 'user_sync_poll', 'http_422', 'permanent', 'review', rollcall_now(), rollcall_now()
		FROM generate_series(1, $2)`, customer, count)
}

func TestAQuietCustomerWhoIsWellRaisesNothingInTwoDays(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("acme")
	for range 2 * 24 * 2 {
		w.after(29 * time.Minute)
		w.polled("acme")
		w.after(time.Minute)
	}
	w.reconciled("acme")
	for range 10 {
		w.after(30 * time.Minute)
		w.polled("acme")
	}
	require.Empty(t, w.told())
}

func TestAPollThatStandsStillIsToldWithinTwoCadencesAndALook(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("acme", "globex")
	w.after(time.Hour)
	require.Empty(t, w.told(), "two cadences are not over")
	w.after(lookEvery)
	require.Equal(t, []string{"poll_stalled acme", "poll_stalled globex"}, w.told())
	w.after(3 * time.Hour)
	require.Empty(t, w.told(), "once")
	w.polled("acme")
	w.after(lookEvery)
	require.Equal(t, []string{"over poll_stalled acme"}, w.told())
	w.after(time.Hour)
	require.Equal(t, []string{"poll_stalled acme"}, w.told(), "and again, when it stands still again")
}

func TestNoPollIsMissedOfACustomerWhoIsNotPolled(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("paused", "disabled", "offboarded", "backfilling", "resumed")
	w.after(2 * time.Hour)
	require.Len(t, w.told(), 5)
	w.exec(`UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'paused'`)
	w.exec(`UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed' WHERE customer_id = 'disabled'`)
	w.exec(`UPDATE sync_configs SET enabled = false, offboarded_at = rollcall_now() WHERE customer_id = 'offboarded'`)
	w.exec(`UPDATE sync_configs SET backfill_completed_at = NULL WHERE customer_id = 'backfilling'`)
	w.exec(`UPDATE sync_configs SET active_since = rollcall_now() WHERE customer_id = 'resumed'`)
	w.after(lookEvery)
	require.ElementsMatch(t, []string{
		"over poll_stalled paused", "over poll_stalled disabled", "over poll_stalled offboarded", "over poll_stalled backfilling", "over poll_stalled resumed",
	}, w.told())
}

func TestAPollIsNotMissedBeforeItCouldBeDue(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("resumed", "shorter")
	w.exec(`UPDATE sync_configs SET poll_cadence_minutes = 1440 WHERE customer_id = 'shorter'`)
	// Resumed while it was being backfilled, which took hours from then on.
	w.exec(`UPDATE sync_configs SET backfill_completed_at = rollcall_now() + interval '5 hours' WHERE customer_id = 'resumed'`)
	w.after(5 * time.Hour)
	customer, err := w.store.Customer(t.Context(), "shorter")
	require.NoError(t, err)
	customer.PollCadenceMinutes = 30
	require.NoError(t, w.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ChangeCustomer(ctx, customer) }))
	w.after(lookEvery)
	require.Empty(t, w.told())
	w.after(time.Hour)
	require.Equal(t, []string{"poll_stalled resumed", "poll_stalled shorter"}, w.told())
}

func TestABackfillWithoutAPageIsTold(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	for _, state := range []string{"queued", "running", "parked", "paused", "completed"} {
		w.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example', '{}', rollcall_now(), rollcall_now())`, state)
		//nolint:dupword // columns of the same moment
		w.exec(`WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'initial_backfill', rollcall_now()) RETURNING id)
			INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at)
			SELECT $1, id, 't', $1, at, at, at FROM job, test_clock`, state)
	}
	w.after(15 * time.Minute)
	require.Empty(t, w.told())
	w.after(lookEvery)
	require.ElementsMatch(t, []string{"backfill_stalled queued", "backfill_stalled running"}, w.told(), "who waits for a reason of its own does not stall")
	w.exec(`UPDATE backfill_runs SET updated_at = rollcall_now() WHERE customer_id = 'running'`)
	w.exec(`UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'queued'`)
	w.after(lookEvery)
	require.ElementsMatch(t, []string{"over backfill_stalled running", "over backfill_stalled queued"}, w.told())
	require.Equal(t, 30*time.Minute, store.BoundsOf(10*time.Minute, 0, 0).Backfill, "a long claim is waited for")
}

func TestABackfillThatVomoDoesNotLetThroughIsToldWithTheReason(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	for customer, reason := range map[string]string{
		"unavailable": "vomo_unavailable", "throttled": "vomo_throttled", "down": "destination_down", "quiet": "quiet_hours", "moving": "vomo_unavailable",
	} {
		w.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example', '{}', rollcall_now(), rollcall_now())`, customer)
		w.exec(`WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'initial_backfill', rollcall_now()) RETURNING id)
			INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, parks, park_reason, park_detail, park_since, due_at, created_at, updated_at)
			SELECT $1, id, 't', 'parked', 3, $2, 'VOMO answered 502', at, at + interval '1 day', at, at FROM job, test_clock`, customer, reason)
	}
	w.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('down', 'destination_down', 'medium', rollcall_now())`)
	w.after(15 * time.Minute)
	require.Empty(t, w.told())
	w.exec(`UPDATE backfill_runs SET park_since = rollcall_now() WHERE customer_id = 'moving'`) // a page was committed meanwhile
	w.exec(`UPDATE test_clock SET at = at + $1::interval`, lookEvery)
	require.NoError(t, w.look(t.Context()))
	var text, remedy string
	require.NoError(t, w.conn.QueryRow(t.Context(), `SELECT convert_from(payload, 'UTF8')::json->>'text', convert_from(payload, 'UTF8')::json->>'remedy'
		FROM outbox WHERE subject LIKE '%unavailable'`).Scan(&text, &remedy))
	require.Contains(t, text, "vomo_unavailable")
	require.Contains(t, text, "VOMO does not answer")
	require.Contains(t, text, "VOMO answered 502")
	require.Contains(t, remedy, "VOMO_BASE_URL")
	require.ElementsMatch(t, []string{"backfill_stalled unavailable", "backfill_stalled throttled"}, w.told(),
		"a wait that was asked for is no stall, and one with an alert of its own is told once")
	w.exec(`UPDATE backfill_runs SET state = 'running', parks = 0, park_reason = NULL, updated_at = rollcall_now() WHERE customer_id = 'throttled'`)
	w.after(lookEvery)
	require.Equal(t, []string{"over backfill_stalled throttled"}, w.told())
}

func TestAReconciliationThatDoesNotComeToItsEndIsTold(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("acme")
	w.exec(`UPDATE sync_configs SET poll_cadence_minutes = 10080`) // not about polls
	w.after(48 * time.Hour)
	require.Empty(t, w.told())
	w.after(lookEvery)
	require.Equal(t, []string{"reconcile_stalled acme"}, w.told())
	w.reconciled("acme")
	w.after(lookEvery)
	require.Equal(t, []string{"over reconcile_stalled acme"}, w.told())
	w.after(49 * time.Hour)
	require.Equal(t, []string{"reconcile_stalled acme"}, w.told())
}

func TestLettersThatAgeAreToldAlsoThoseOfNobody(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.letters("_unknown", 1)
	w.letters("acme", 2)
	w.after(72 * time.Hour)
	require.Empty(t, w.told())
	w.after(lookEvery)
	require.Equal(t, []string{"dlq_age _unknown", "dlq_age acme"}, w.told())
	w.exec(`UPDATE dead_letters SET state = 'settled'`)
	w.after(lookEvery)
	require.Equal(t, []string{"over dlq_age _unknown", "over dlq_age acme"}, w.told())
}

func TestManyLettersInAnHourAreToldUntilTheyAreFewerThanHalf(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.letters("acme", 10)
	w.after(lookEvery)
	require.Empty(t, w.told(), "ten are as many as may be")
	w.letters("acme", 1)
	w.after(lookEvery)
	require.Equal(t, []string{"dlq_growth acme"}, w.told())
	settle := `UPDATE dead_letters SET state = 'settled' WHERE id IN (SELECT id FROM dead_letters WHERE state <> 'settled' LIMIT $1)`
	w.exec(settle, 6)
	w.after(lookEvery)
	require.Empty(t, w.told(), "five are half")
	w.letters("acme", 6)
	w.after(lookEvery)
	require.Empty(t, w.told(), "it is still the same")
	w.exec(settle, 7)
	w.after(lookEvery)
	require.Equal(t, []string{"over dlq_growth acme"}, w.told())
	w.letters("globex", 11)
	w.after(lookEvery)
	require.Equal(t, []string{"dlq_growth globex"}, w.told())
	w.after(time.Hour)
	require.Equal(t, []string{"over dlq_growth globex"}, w.told(), "they are not of this hour any more")
}

func TestACustomerWhoseConditionsCannotBeSettledHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("acme", "globex")
	w.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	w.exec(`CREATE TRIGGER no BEFORE INSERT ON alerts FOR EACH ROW WHEN (new.customer_id = 'acme') EXECUTE FUNCTION no()`)
	w.exec(`UPDATE test_clock SET at = at + interval '2 hours'`)
	require.Error(t, w.look(t.Context()))
	require.Equal(t, []string{"poll_stalled globex"}, w.told())
}

func TestNotesAreForgottenAfterFortyDays(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	note := func(id string) {
		require.NoError(t, w.store.NoteTold(t.Context(), store.Notification{MessageID: id, Channel: channelWebhook, Outcome: store.NotificationSent}))
	}
	note("old")
	w.exec(`UPDATE test_clock SET at = at + interval '40 days'`)
	note("new")
	require.NoError(t, w.forget(t.Context()))
	told, err := w.store.Told(t.Context(), "old")
	require.NoError(t, err)
	require.Len(t, told, 1)
	w.exec(`UPDATE test_clock SET at = at + interval '1 second'`)
	require.NoError(t, w.forget(t.Context()))
	told, err = w.store.Told(t.Context(), "old")
	require.NoError(t, err)
	require.Empty(t, told)
	told, err = w.store.Told(t.Context(), "new")
	require.NoError(t, err)
	require.Len(t, told, 1)
}

func TestAlertsAreForgottenNinetyDaysAfterTheyWereOver(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	for _, statement := range []string{
		`INSERT INTO alerts (customer_id, type, severity, raised_at) SELECT 'acme', 'destination_down', 'high', at FROM test_clock`,
		`INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'dlq_age', 'high', at, at + interval '1 day' FROM test_clock`,
		`INSERT INTO alerts (customer_id, type, severity, raised_at, cleared_at) SELECT 'acme', 'email_changed', 'medium', at, at FROM test_clock`,
	} {
		w.exec(statement)
	}
	kept := func() []string {
		require.NoError(t, w.forget(t.Context()))
		rows, err := w.conn.Query(t.Context(), `SELECT type FROM alerts ORDER BY type`)
		require.NoError(t, err)
		types, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return types
	}
	w.exec(`UPDATE test_clock SET at = at + interval '90 days'`)
	require.Len(t, kept(), 3)
	w.exec(`UPDATE test_clock SET at = at + interval '1 second'`)
	require.Equal(t, []string{"destination_down", "dlq_age"}, kept())
	w.exec(`UPDATE test_clock SET at = at + interval '1 year'`)
	require.Equal(t, []string{"destination_down"}, kept(), "one that stands is kept however old it is")
}

func TestLettersAndGapsAreForgottenNinetyDaysAfterTheyWereSettled(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, settled_at, settled_how, shown_seq)
		SELECT gen_random_uuid(), 'acme', 'user', id, 's', 'j', 'c', 'permanent', state, at, at + interval '0',
			CASE state WHEN 'settled' THEN at + settled END, nullif(how, 'no'), shown
		FROM test_clock, (VALUES ('long over', 'settled', interval '1 day', 'discarded', NULL), ('lately', 'settled', interval '30 days', 'retried', NULL),
			('still shown', 'settled', interval '1 day', 'retried', 7), ('open', 'review', interval '0', 'no', 8)) v (id, state, settled, how, shown)`)
	w.exec(`INSERT INTO reconciliation_gaps SELECT 1, 'acme', '7', 'not_in_mapping', at, at + interval '1 day' FROM test_clock`)
	kept := func() []string {
		require.NoError(t, w.forget(t.Context()))
		rows, err := w.conn.Query(t.Context(), `SELECT record_id FROM dead_letters UNION SELECT reason FROM reconciliation_gaps ORDER BY 1`)
		require.NoError(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return ids
	}
	w.exec(`UPDATE test_clock SET at = at + interval '91 days'`)
	require.Equal(t, []string{"lately", "long over", "not_in_mapping", "open", "still shown"}, kept())
	w.exec(`UPDATE test_clock SET at = at + interval '1 second'`)
	require.Equal(t, []string{"lately", "open", "still shown"}, kept())
	w.exec(`UPDATE test_clock SET at = at + interval '1 year'`)
	require.Equal(t, []string{"open", "still shown"}, kept(), "an open one is kept however old it is")
}

// BenchmarkALookAtTenThousandWhoAreWell is what a look costs that finds nothing.
func BenchmarkALookAtTenThousandWhoAreWell(b *testing.B) {
	url := testkit.Database(b)
	from, err := store.Open(b.Context(), url, store.Options{})
	require.NoError(b, err)
	b.Cleanup(from.Close)
	conn, err := pgx.Connect(b.Context(), url)
	require.NoError(b, err)
	for _, statement := range []string{
		`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, backfill_completed_at, active_since, last_polled_at, updated_at)
			SELECT 'c' || n, 'u', '{}', now(), now() - interval '90 days', now() - interval '90 days', now(), now() FROM generate_series(1, 10000) n`,
		`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
			SELECT 'c' || n, 'user_daily', now() - d * interval '1 day', 1, 10, 0, now(), now() - d * interval '1 day'
			FROM generate_series(1, 10000) n, generate_series(1, 90) d`,
		`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
			SELECT gen_random_uuid(), 'c' || n, 'user', n, 's', 'j', 'http_422', 'permanent', 'review', now() - interval '2 hours', now()
			FROM generate_series(1, 50000) n`,
		`ANALYZE`,
	} {
		_, err := conn.Exec(b.Context(), statement)
		require.NoError(b, err)
	}
	require.NoError(b, conn.Close(b.Context()))
	w := &watch{store: from, logger: zaptest.NewLogger(b), bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 100)}
	for b.Loop() {
		require.NoError(b, w.look(b.Context()))
	}
	found, err := from.ConditionsOfAll(b.Context(), w.bounds)
	require.NoError(b, err)
	require.Empty(b, found)
}

func TestTwoUsersWhoAreOneContactAreToldOnceWithBothIDs(t *testing.T) { // pkg/mirror/testdata/one-contact-two-users.md
	t.Parallel()
	w := newTower(t)
	w.steady("acme")
	told := func() []string {
		rows, err := w.conn.Query(t.Context(), `SELECT convert_from(payload, 'UTF8') FROM outbox ORDER BY id`)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return texts
	}
	for id, external := range map[string]string{"12": "contact-77", "34": "contact-77", "56": "contact-56"} {
		//nolint:dupword // columns of the same moment
		w.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, version_hash, last_synced_at, last_synced_updated_at, sent_updated_at)
			SELECT 'acme', $1, $2, '\x00', at, at, at FROM test_clock`, id, external)
	}
	require.NoError(t, w.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.NoteSharedContact(ctx, "acme", []store.Mapping{{VomoID: "34", ExternalID: "contact-77"}}, time.Time{})
	}))
	w.after(time.Minute)
	w.after(time.Minute)
	require.Len(t, told(), 1, "once")
	require.Contains(t, told()[0], "VOMO users 34 and 12 are one record at the destination (contact-77)")
	status, err := report.StatusOf(t.Context(), w.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	require.Equal(t, "contact_shared", status.Health.Reasons[0].Code)
	require.Contains(t, status.Health.Reasons[0].Text, "VOMO users 34 and 12 are one record at the destination (contact-77)")
	require.Contains(t, status.Health.Reasons[0].Remedy, "match by external_id")
	require.False(t, status.Health.Reasons[0].Unhealthy)

	w.exec(`UPDATE user_mappings SET external_user_id = 'ana@example.org' WHERE vomo_user_id <> '56'`)
	status, err = report.StatusOf(t.Context(), w.store, "acme")
	require.NoError(t, err)
	require.NotContains(t, status.Health.Reasons[0].Text, "ana@example.org", "an id that may be an address is not shown")

	w.exec(`UPDATE user_mappings SET external_user_id = 'contact-12' WHERE vomo_user_id = '12'`)
	w.after(time.Minute)
	require.Len(t, told(), 2)
	require.Contains(t, told()[1], `"cleared":true`)
}

func TestSharedContactThatCannotBeRefreshedDelaysNoOtherCondition(t *testing.T) {
	t.Parallel()
	w := newTower(t)
	w.steady("acme", "globex")
	w.exec(`INSERT INTO shared_contacts SELECT 'acme', '12', '34', at FROM test_clock`) // two users that share nothing any more
	w.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	w.exec(`CREATE TRIGGER no BEFORE DELETE ON shared_contacts FOR EACH ROW EXECUTE FUNCTION no()`)
	w.exec(`UPDATE test_clock SET at = at + interval '2 hours'`)
	require.Error(t, w.look(t.Context()))
	require.Equal(t, []string{"contact_shared acme", "poll_stalled acme", "poll_stalled globex"}, w.told())
}
