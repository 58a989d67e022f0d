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

// conditionFixture is a watch on a database whose clock only the test advances.
type conditionFixture struct {
	*conditionWatch
	t    *testing.T
	conn *pgx.Conn
}

func newConditionFixture(t *testing.T) *conditionFixture {
	t.Helper()
	url := testkit.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	f := &conditionFixture{t: t, conn: conn}
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	f.conditionWatch = &conditionWatch{store: from, logger: zaptest.NewLogger(t), bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 10, 4*time.Hour)}
	return f
}

func (f *conditionFixture) exec(statement string, args ...any) {
	f.t.Helper()
	_, err := f.conn.Exec(f.t.Context(), statement, args...)
	require.NoError(f.t, err)
}

// addCustomers adds customers whose first backfill is complete and who are polled every thirty minutes.
func (f *conditionFixture) addCustomers(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		//nolint:dupword // columns of the same moment
		f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, backfill_completed_at, active_since, updated_at)
			SELECT $1, 'https://crm.example', '{}', at, at, at, at FROM test_clock`, id)
	}
}

// checkAfter advances the clock and lets two replicas check.
func (f *conditionFixture) checkAfter(d time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET at = at + $1::interval`, d)
	var looking sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			if err := f.check(f.t.Context()); err != nil {
				f.t.Errorf("look: %v", err)
			}
		})
	}
	looking.Wait()
}

// published returns and removes the messages so far, as "type customer" or "cleared type customer", repetitions included.
func (f *conditionFixture) published() []string {
	f.t.Helper()
	rows, err := f.conn.Query(f.t.Context(), `SELECT CASE WHEN msg_id LIKE '%-cleared' THEN 'cleared ' ELSE '' END
		|| split_part(subject, '.', 4) || ' ' || split_part(subject, '.', 5) FROM outbox ORDER BY id`)
	require.NoError(f.t, err)
	notified, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(f.t, err)
	f.exec(`DELETE FROM outbox`)
	return notified
}

func (f *conditionFixture) markPolled(id string) {
	f.exec(`UPDATE sync_configs SET last_polled_at = rollcall_now() WHERE customer_id = $1`, id)
}

func (f *conditionFixture) markReconciled(id string) {
	f.exec(`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, started_at, completed_at)
		VALUES ($1, 'user_daily', (rollcall_now() - interval '1 day')::date, 1, 0, 0, rollcall_now(), rollcall_now())`, id)
}

func (f *conditionFixture) addLetters(customer string, count int) {
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
		SELECT gen_random_uuid(), $1, 'user', gen_random_uuid(), 's', 'user_sync_poll', 'http_422', 'permanent', 'review', rollcall_now(), rollcall_now()
		FROM generate_series(1, $2)`, customer, count)
}

func TestHealthyCustomerWithoutChangesRaisesNoAlertInTwoDays(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme")
	for range 2 * 24 * 2 {
		f.checkAfter(29 * time.Minute)
		f.markPolled("acme")
		f.checkAfter(time.Minute)
	}
	f.markReconciled("acme")
	for range 10 {
		f.checkAfter(30 * time.Minute)
		f.markPolled("acme")
	}
	require.Empty(t, f.published())
}

func TestStalledPollIsRaisedWithinTwoCadencesAndOneCheck(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme", "globex")
	f.checkAfter(time.Hour)
	require.Empty(t, f.published(), "two cadences are not over")
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"poll_stalled acme", "poll_stalled globex"}, f.published())
	f.checkAfter(3 * time.Hour)
	require.Empty(t, f.published(), "once")
	f.markPolled("acme")
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared poll_stalled acme"}, f.published())
	f.checkAfter(time.Hour)
	require.Equal(t, []string{"poll_stalled acme"}, f.published(), "and again, when it stands still again")
}

func TestPollStalledIsNotRaisedForCustomerThatIsNotPolled(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("paused", "disabled", "offboarded", "backfilling", "resumed")
	f.checkAfter(2 * time.Hour)
	require.Len(t, f.published(), 5)
	f.exec(`UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'paused'`)
	f.exec(`UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed' WHERE customer_id = 'disabled'`)
	f.exec(`UPDATE sync_configs SET enabled = false, offboarded_at = rollcall_now() WHERE customer_id = 'offboarded'`)
	f.exec(`UPDATE sync_configs SET backfill_completed_at = NULL WHERE customer_id = 'backfilling'`)
	f.exec(`UPDATE sync_configs SET active_since = rollcall_now() WHERE customer_id = 'resumed'`)
	f.checkAfter(checkEvery)
	require.ElementsMatch(t, []string{
		"cleared poll_stalled paused", "cleared poll_stalled disabled", "cleared poll_stalled offboarded",
		"cleared poll_stalled backfilling", "cleared poll_stalled resumed",
	}, f.published())
}

func TestPollStalledIsNotRaisedBeforePollCouldBeDue(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("resumed", "shorter")
	f.exec(`UPDATE sync_configs SET poll_cadence_minutes = 1440 WHERE customer_id = 'shorter'`)
	// Resumed while it was being backfilled, which took hours from then on.
	f.exec(`UPDATE sync_configs SET backfill_completed_at = rollcall_now() + interval '5 hours' WHERE customer_id = 'resumed'`)
	f.checkAfter(5 * time.Hour)
	customer, err := f.store.Customer(t.Context(), "shorter")
	require.NoError(t, err)
	customer.PollCadenceMinutes = 30
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ChangeCustomer(ctx, customer) }))
	f.checkAfter(checkEvery)
	require.Empty(t, f.published())
	f.checkAfter(time.Hour)
	require.Equal(t, []string{"poll_stalled resumed", "poll_stalled shorter"}, f.published())
}

func TestBackfillWithoutCommittedPageIsRaised(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	for _, state := range []string{"queued", "running", "parked", "paused", "completed"} {
		f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example', '{}', rollcall_now(), rollcall_now())`, state)
		//nolint:dupword // columns of the same moment
		f.exec(`WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'initial_backfill', rollcall_now()) RETURNING id)
			INSERT INTO runs (customer_id, kind, job_id, trace_id, state, due_at, created_at, updated_at)
			SELECT $1, 'backfill', id, 't', $1, at, at, at FROM job, test_clock`, state)
	}
	f.checkAfter(15 * time.Minute)
	require.Empty(t, f.published())
	f.checkAfter(checkEvery)
	require.ElementsMatch(t, []string{"backfill_stalled queued", "backfill_stalled running"}, f.published(),
		"a backfill that waits for a known reason is not stalled")
	f.exec(`UPDATE runs SET updated_at = rollcall_now() WHERE kind = 'backfill' AND customer_id = 'running'`)
	f.exec(`UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'queued'`)
	f.checkAfter(checkEvery)
	require.ElementsMatch(t, []string{"cleared backfill_stalled running", "cleared backfill_stalled queued"}, f.published())
	require.Equal(t, 30*time.Minute, store.BoundsOf(10*time.Minute, 0, 0, 0).Backfill, "the limit grows with the claim timeout")
}

func TestBackfillParkedByVomoIsRaisedWithReason(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	for customer, reason := range map[string]string{
		"unavailable": "vomo_unavailable", "throttled": "vomo_throttled", "down": "destination_down", "quiet": "quiet_hours", "moving": "vomo_unavailable",
	} {
		f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
			VALUES ($1, 'https://crm.example', '{}', rollcall_now(), rollcall_now())`, customer)
		f.exec(`WITH job AS (INSERT INTO job_log (customer_id, job, started_at) VALUES ($1, 'initial_backfill', rollcall_now()) RETURNING id)
			INSERT INTO runs (customer_id, kind, job_id, trace_id, state, parks, park_reason, park_detail, park_since, due_at, created_at, updated_at)
			SELECT $1, 'backfill', id, 't', 'parked', 3, $2, 'VOMO answered 502', at, at + interval '1 day', at, at FROM job, test_clock`, customer, reason)
	}
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('down', 'destination_down', 'medium', rollcall_now())`)
	f.checkAfter(15 * time.Minute)
	require.Empty(t, f.published())
	f.exec(`UPDATE runs SET park_since = rollcall_now() WHERE kind = 'backfill' AND customer_id = 'moving'`) // a page was committed meanwhile
	f.exec(`UPDATE test_clock SET at = at + $1::interval`, checkEvery)
	require.NoError(t, f.check(t.Context()))
	var text, remedy string
	require.NoError(t, f.conn.QueryRow(t.Context(), `SELECT convert_from(payload, 'UTF8')::json->>'text', convert_from(payload, 'UTF8')::json->>'remedy'
		FROM outbox WHERE subject LIKE '%unavailable'`).Scan(&text, &remedy))
	require.Contains(t, text, "vomo_unavailable")
	require.Contains(t, text, "VOMO does not answer")
	require.Contains(t, text, "VOMO answered 502")
	require.Contains(t, remedy, "VOMO_BASE_URL")
	require.ElementsMatch(t, []string{"backfill_stalled unavailable", "backfill_stalled throttled"}, f.published(),
		"quiet hours are no stall, and a run with an active destination_down alert gets no second alert")
	f.exec(`UPDATE runs SET state = 'running', parks = 0, park_reason = NULL, updated_at = rollcall_now() WHERE kind = 'backfill' AND customer_id = 'throttled'`)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared backfill_stalled throttled"}, f.published())
}

func TestStalledReconciliationIsRaised(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme")
	f.exec(`UPDATE sync_configs SET poll_cadence_minutes = 10080`) // not about polls
	f.checkAfter(48 * time.Hour)
	require.Empty(t, f.published())
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"reconcile_stalled acme"}, f.published())
	f.markReconciled("acme")
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared reconcile_stalled acme"}, f.published())
	f.checkAfter(49 * time.Hour)
	require.Equal(t, []string{"reconcile_stalled acme"}, f.published())
}

func TestOldLettersAreRaisedAlsoWithoutCustomer(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addLetters("_unknown", 1)
	f.addLetters("acme", 2)
	f.checkAfter(72 * time.Hour)
	require.Empty(t, f.published())
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"dlq_age _unknown", "dlq_age acme"}, f.published())
	f.exec(`UPDATE dead_letters SET state = 'settled'`)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared dlq_age _unknown", "cleared dlq_age acme"}, f.published())
}

func TestDonationThatIsPendingForHoursIsRaisedUnlessItWaitsOnPurpose(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme", "globex", "initech")
	f.exec(`UPDATE sync_configs SET backfill_completed_at = NULL`)
	f.exec(`UPDATE sync_configs SET paused_at = rollcall_now() WHERE customer_id = 'globex'`)
	f.exec(`INSERT INTO virtuous_configs (customer_id, enabled, disabled_reason, onboarded_at, designations_field, defaults,
		needs_review_after_hours, stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		SELECT customer_id, customer_id <> 'initech', CASE customer_id WHEN 'initech' THEN 'auth_failed' END, at, 'designations', '{}', 72, 24, '1',
			'Relief', 'UTC', 'en-US', at FROM sync_configs, test_clock`)
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		next_attempt_at, created_at, status_at, updated_at)
		SELECT customer_id, 'don-1', 'pending', 'Give', '', '', '', at, at, at, at FROM sync_configs, test_clock`)
	f.checkAfter(4 * time.Hour)
	require.Empty(t, f.published())
	f.checkAfter(time.Second)
	require.Equal(t, []string{"giving_pending_age acme"}, f.published())
	f.exec(`UPDATE virtuous_donation_queue SET status_at = rollcall_now()`) // it was retried by an operator
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared giving_pending_age acme"}, f.published())
	f.exec(`INSERT INTO virtuous_contact_queue (customer_id, reference_source, reference_id, status, transaction_source, partner_sealed, partner_published_at,
		body_sealed, content_hash, next_attempt_at, created_at, status_at, updated_at)
		SELECT customer_id, 'give', 'donor-1', 'pending', 'Give', '', at, '', '', at, at - interval '5 hours' AS b, at - interval '5 hours' AS c,
			at AS d FROM sync_configs, test_clock`)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"giving_pending_age acme"}, f.published(), "a contact waits, too")
}

func TestLetterGrowthIsActiveUntilBelowHalfTheLimit(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addLetters("acme", 10)
	f.checkAfter(checkEvery)
	require.Empty(t, f.published(), "ten letters are the limit")
	f.addLetters("acme", 1)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"dlq_growth acme"}, f.published())
	settle := `UPDATE dead_letters SET state = 'settled' WHERE id IN (SELECT id FROM dead_letters WHERE state <> 'settled' LIMIT $1)`
	f.exec(settle, 6)
	f.checkAfter(checkEvery)
	require.Empty(t, f.published(), "five letters are half the limit")
	f.addLetters("acme", 6)
	f.checkAfter(checkEvery)
	require.Empty(t, f.published(), "the alert is still active")
	f.exec(settle, 7)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared dlq_growth acme"}, f.published())
	f.addLetters("globex", 11)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"dlq_growth globex"}, f.published())
	f.checkAfter(time.Hour)
	require.Equal(t, []string{"cleared dlq_growth globex"}, f.published(), "the letters are older than an hour")
}

func TestCustomerWhoseAlertsCannotBeUpdatedDelaysNoOtherCustomer(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme", "globex")
	f.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	f.exec(`CREATE TRIGGER no BEFORE INSERT ON alerts FOR EACH ROW WHEN (new.customer_id = 'acme') EXECUTE FUNCTION no()`)
	f.exec(`UPDATE test_clock SET at = at + interval '2 hours'`)
	require.Error(t, f.check(t.Context()))
	require.Equal(t, []string{"poll_stalled globex"}, f.published())
}

// BenchmarkCheckOfTenThousandHealthyCustomers measures a check that changes nothing.
func BenchmarkCheckOfTenThousandHealthyCustomers(b *testing.B) {
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
	f := &conditionWatch{store: from, logger: zaptest.NewLogger(b), bounds: store.BoundsOf(30*time.Second, 72*time.Hour, 100, 4*time.Hour)}
	for b.Loop() {
		require.NoError(b, f.check(b.Context()))
	}
	found, err := from.ConditionsOfAll(b.Context(), f.bounds)
	require.NoError(b, err)
	require.Empty(b, found)
}

func TestSharedContactIsRaisedOnceWithBothUserIDs(t *testing.T) { // pkg/mirror/testdata/one-contact-two-users.md
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme")
	notified := func() []string {
		rows, err := f.conn.Query(t.Context(), `SELECT convert_from(payload, 'UTF8') FROM outbox ORDER BY id`)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return texts
	}
	for id, external := range map[string]string{"12": "contact-77", "34": "contact-77", "56": "contact-56"} {
		//nolint:dupword // columns of the same moment
		f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, version_hash, last_synced_at, last_synced_updated_at, sent_updated_at)
			SELECT 'acme', $1, $2, '\x00', at, at, at FROM test_clock`, id, external)
	}
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.NoteSharedContact(ctx, "acme", []store.Mapping{{VomoID: "34", ExternalID: "contact-77"}}, time.Time{})
	}))
	f.checkAfter(time.Minute)
	f.checkAfter(time.Minute)
	require.Len(t, notified(), 1, "once")
	require.Contains(t, notified()[0], "VOMO users 34 and 12 are one record at the destination (contact-77)")
	status, err := report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.Len(t, status.Health.Reasons, 1)
	require.Equal(t, "contact_shared", status.Health.Reasons[0].Code)
	require.Contains(t, status.Health.Reasons[0].Text, "VOMO users 34 and 12 are one record at the destination (contact-77)")
	require.Contains(t, status.Health.Reasons[0].Remedy, "match by external_id")
	require.False(t, status.Health.Reasons[0].Unhealthy)

	f.exec(`UPDATE user_mappings SET external_user_id = 'ana@example.org' WHERE vomo_user_id <> '56'`)
	status, err = report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.NotContains(t, status.Health.Reasons[0].Text, "ana@example.org", "an id that may be a mail address is not shown")

	f.exec(`UPDATE user_mappings SET external_user_id = 'contact-12' WHERE vomo_user_id = '12'`)
	f.checkAfter(time.Minute)
	require.Len(t, notified(), 2)
	require.Contains(t, notified()[1], `"cleared":true`)
}

func TestSharedContactThatCannotBeRefreshedDelaysNoOtherCondition(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.addCustomers("acme", "globex")
	f.exec(`INSERT INTO shared_contacts SELECT 'acme', '12', '34', at FROM test_clock`) // the two users no longer share a contact
	f.exec(`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	f.exec(`CREATE TRIGGER no BEFORE DELETE ON shared_contacts FOR EACH ROW EXECUTE FUNCTION no()`)
	f.exec(`UPDATE test_clock SET at = at + interval '2 hours'`)
	require.Error(t, f.check(t.Context()))
	require.Equal(t, []string{"contact_shared acme", "poll_stalled acme", "poll_stalled globex"}, f.published())
}

func TestLineInTheDefaultPartitionOfTheAuditIsAnAlertOfTheInstallation(t *testing.T) {
	t.Parallel()
	f := newConditionFixture(t)
	f.checkAfter(checkEvery)
	require.Empty(t, f.published())
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at)
		SELECT 'acme', 'user', '1', 'create', true, at FROM test_clock`)
	f.checkAfter(checkEvery)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"audit_unpartitioned _installation"}, f.published())
	f.exec(`DELETE FROM sync_audit_default`)
	f.checkAfter(checkEvery)
	require.Equal(t, []string{"cleared audit_unpartitioned _installation"}, f.published())
}
