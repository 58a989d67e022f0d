package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

// steady is a customer through its first backfill, with a clock that goes on.
func steady(t *testing.T) *fixture {
	t.Helper()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.in(t, func(ctx context.Context, tx *store.Tx) error { return tx.MarkBackfilled(ctx, "acme", 1000) })
	h.exec(t, `CREATE TABLE test_clock AS SELECT timestamptz '2026-03-02T09:30:00Z' AS now`)
	h.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now FROM test_clock'`)
	return h
}

func (h *fixture) pass(t *testing.T, interval string) {
	t.Helper()
	h.exec(t, `UPDATE test_clock SET now = now + $1::text::interval`, interval)
}

// polled ends a poll, as failed where code is not "".
func (h *fixture) polled(t *testing.T, code string) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		id, err := tx.StartJob(ctx, "acme", store.JobPoll, "00-trace-01")
		if err != nil {
			return err
		}
		if code == "" {
			now, err := tx.Now(ctx)
			if err != nil {
				return err
			}
			if err := tx.MarkPolled(ctx, "acme", now); err != nil {
				return err
			}
		}
		return tx.FinishJob(ctx, id, 3, 0, code)
	})
}

// stands is the customer's health in both places that show it, which must agree.
func (h *fixture) stands(t *testing.T) (healthy *bool, reasons map[string]bool) {
	t.Helper()
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	list, err := report.Customers(t.Context(), h.Store, operatorapi.CustomersQuestion{})
	require.NoError(t, err)
	require.Equal(t, status.Health.IsHealthy, list.Customers[0].IsHealthy, "the list and the status say the same")
	reasons = map[string]bool{}
	for _, reason := range status.Health.Reasons {
		require.NotEmpty(t, reason.Text)
		require.NotEmpty(t, reason.Remedy)
		require.NotContains(t, reason.Text, "Condition ", "each condition has words of its own")
		_, twice := reasons[reason.Code]
		require.False(t, twice, "%s is listed once", reason.Code)
		reasons[reason.Code] = reason.Unhealthy
	}
	return status.Health.IsHealthy, reasons
}

func TestHealthIsNotKnownBeforeTheFirstHeartbeat(t *testing.T) {
	t.Parallel()
	h := steady(t)
	healthy, reasons := h.stands(t)
	require.Nil(t, healthy)
	require.Empty(t, reasons)

	h.polled(t, "")

	healthy, _ = h.stands(t)
	require.Equal(t, new(true), healthy)
}

func TestOrganisationWithoutChangesIsHealthy(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.AdvanceCheckpoint(ctx, "acme", store.ResourceUserSync, noon)
	})
	for range 96 {
		h.pass(t, "30 minutes")
		h.polled(t, "")
	}
	healthy, reasons := h.stands(t)
	require.Equal(t, new(true), healthy)
	require.Empty(t, reasons)
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.Equal(t, new(int64(48*60+21*60+30)), status.Polling.LagMinutes, "the lag is shown, and no health suffers from it")
}

func TestAPollerThatIsWedgedMakesTheCustomerUnhealthyWithinTwoCadences(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.pass(t, "60 minutes")
	healthy, _ := h.stands(t)
	require.Equal(t, new(true), healthy)

	h.pass(t, "1 second")

	healthy, reasons := h.stands(t)
	require.Equal(t, new(false), healthy)
	require.Equal(t, map[string]bool{event.AlertPollStalled: true}, reasons)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertPollStalled))
	})
	_, reasons = h.stands(t)
	require.Len(t, reasons, 1, "the alert says the same, once")
}

func TestTwoCadencesCountFromWhenPollsAreToBeExpected(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PauseCustomer(ctx, "acme")
		return err
	})
	h.pass(t, "3 days")
	healthy, reasons := h.stands(t)
	require.Equal(t, new(false), healthy)
	require.Equal(t, map[string]bool{event.ConditionPaused: true}, reasons, "no poll is expected meanwhile")

	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ResumeCustomer(ctx, "acme")
		return err
	})
	healthy, _ = h.stands(t)
	require.Equal(t, new(true), healthy)
	h.pass(t, "61 minutes")
	healthy, reasons = h.stands(t)
	require.Equal(t, new(false), healthy)
	require.Contains(t, reasons, event.AlertPollStalled)
}

func TestWhatStopsACustomerIsTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  string
		healthy bool
		reasons map[string]bool
	}{
		"a token that VOMO refuses": {
			`UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed'`, false, map[string]bool{event.AlertAuthFailed: true},
		},
		"an offboarding": {
			`UPDATE sync_configs SET enabled = false, offboarded_at = now()`, false, map[string]bool{event.ConditionOffboarded: true},
		},
		"ten letters": {
			`INSERT INTO dead_letters (id, customer_id, kind, record_id, state, error_code, error_class, original_subject, job, first_failed_at, last_failed_at)
				SELECT gen_random_uuid(), 'acme', 'user', i::text, 'review', 'http_422', 'permanent', 's', 'j', now(), now() FROM generate_series(1, 10) i`,
			false,
			map[string]bool{event.ConditionDLQDepth: true},
		},
		"nine letters": {
			`INSERT INTO dead_letters (id, customer_id, kind, record_id, state, error_code, error_class, original_subject, job, first_failed_at, last_failed_at)
				SELECT gen_random_uuid(), 'acme', 'user', i::text, 'review', 'http_422', 'permanent', 's', 'j', now(), now() FROM generate_series(1, 9) i`,
			true,
			map[string]bool{},
		},
		"an alert": {
			`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'medium', now())`,
			false,
			map[string]bool{event.AlertDestinationDown: true},
		},
		"counts that do not agree": {
			`UPDATE backfill_runs SET state = 'completed', verified = false`, true, map[string]bool{event.ConditionUnverified: false},
		},
		"a rewrite under way": {
			`UPDATE backfill_runs SET rewrite_before = now()`, true, map[string]bool{"rewrite_unfinished": false},
		},
		"a rewrite that no run does": {
			`UPDATE backfill_runs SET rewrite_before = now(), state = 'cancelled'`, false, map[string]bool{"rewrite_unfinished": true},
		},
		"a resync that an operator paused": {
			`UPDATE backfill_runs SET state = 'paused'`, true, map[string]bool{"paused": false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := steady(t)
			h.queue(t, "acme")
			h.polled(t, "")
			h.exec(t, c.change)
			healthy, reasons := h.stands(t)
			require.Equal(t, &c.healthy, healthy)
			require.Equal(t, c.reasons, reasons)
		})
	}
}

func TestFailedPollIsAReasonUntilOneSucceeds(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.pass(t, "30 minutes")
	h.polled(t, "too_many_attempts")
	healthy, reasons := h.stands(t)
	require.Equal(t, new(false), healthy)
	require.Equal(t, map[string]bool{event.ConditionPollFailing: true}, reasons)
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.Equal(t, new("failed"), status.Polling.LastRunOutcome)
	require.Equal(t, new("too_many_attempts"), status.Polling.LastRun.ErrorCode)

	h.pass(t, "1 minute")
	h.polled(t, "")
	healthy, _ = h.stands(t)
	require.Equal(t, new(true), healthy)
}

func TestAParkedRunIsTriedAgainOnlyForACustomerWhoGoesOn(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.StartRuns(ctx, store.RunStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}})
		return err
	})
	h.exec(t, `UPDATE runs SET state = 'parked', park_reason = 'auth_failed', due_at = rollcall_now() + interval '15 minutes' WHERE kind <> 'backfill'`)
	open := func() *report.OpenRun {
		status, err := report.StatusOf(t.Context(), h.Store, "acme")
		require.NoError(t, err)
		require.Equal(t, new("auth_failed"), status.Polling.OpenRun.ParkReason)
		return status.Polling.OpenRun
	}
	require.NotNil(t, open().DueAt)

	h.exec(t, `UPDATE sync_configs SET enabled = false, disabled_reason = 'auth_failed'`)

	require.Nil(t, open().DueAt, "nothing is tried for a customer who is switched off")
}

func TestWhatARunWaitsForIsAReasonOnlyWhileItWaits(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.StartRuns(ctx, store.RunStart{Kind: store.KindPoll, Job: store.JobPoll, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}})
		return err
	})
	for state, reason := range map[string]*string{"parked": new("destination_down"), "running": nil, "queued": nil} {
		h.exec(t, `UPDATE runs SET park_reason = 'destination_down', state = $1 WHERE kind <> 'backfill'`, state)
		status, err := report.StatusOf(t.Context(), h.Store, "acme")
		require.NoError(t, err)
		require.Equal(t, reason, status.Polling.OpenRun.ParkReason, state)
	}
}

func TestStallEndsWithThePollThatEndsItAndNotWithTheNextLook(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.pass(t, "61 minutes")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		for _, kind := range []string{event.AlertPollStalled, event.AlertDLQAge} {
			if err := event.Raise(ctx, tx, event.AlertFor("acme", kind)); err != nil {
				return err
			}
		}
		return nil
	})
	listed := func() []string {
		list, err := report.Customers(t.Context(), h.Store, operatorapi.CustomersQuestion{})
		require.NoError(t, err)
		return list.Customers[0].Alerts
	}
	_, reasons := h.stands(t)
	require.Equal(t, map[string]bool{event.AlertPollStalled: true, event.AlertDLQAge: true}, reasons)
	require.ElementsMatch(t, []string{event.AlertPollStalled, event.AlertDLQAge}, listed())

	h.polled(t, "") // the alert's row stands until the notifier looks

	_, reasons = h.stands(t)
	require.Equal(t, map[string]bool{event.AlertDLQAge: true}, reasons)
	require.Equal(t, []string{event.AlertDLQAge}, listed())
}

func TestAlertsOfUsersNameThemAndNeverStand(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		return tx.NoteUserAlerts(ctx, store.UserAlerts{
			Customer: "acme", Type: event.AlertEmailChanged, Severity: "medium", TraceID: "00-trace-01", At: now, VomoIDs: []string{"8205", "8206"},
		})
	})
	h.in(t, func(ctx context.Context, tx *store.Tx) error { // beside a row that is over, one may stand
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDLQAge))
	})
	h.pass(t, "1 minute")
	healthFacts, err := report.Alerts(t.Context(), h.Store, operatorapi.AlertsQuestion{CustomerID: "acme"})
	require.NoError(t, err)
	require.Len(t, healthFacts.Alerts, 1)
	require.Nil(t, healthFacts.Alerts[0].VomoUserID)
	all, err := report.Alerts(t.Context(), h.Store, operatorapi.AlertsQuestion{CustomerID: "acme", All: true})
	require.NoError(t, err)
	require.Len(t, all.Alerts, 3)
	require.Equal(t, []*string{new("8206"), new("8205")}, []*string{all.Alerts[1].VomoUserID, all.Alerts[2].VomoUserID})
	require.Equal(t, all.Alerts[2].RaisedAt, *all.Alerts[2].ClearedAt)
	_, reasons := h.stands(t)
	require.Equal(t, map[string]bool{event.AlertDLQAge: true}, reasons)
}

func TestRemedyNamesItsCustomer(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDLQAge))
	})
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.Contains(t, status.Health.Reasons[0].Remedy, "rollcall dlq ls acme")
	alerts, err := report.Alerts(t.Context(), h.Store, operatorapi.AlertsQuestion{})
	require.NoError(t, err)
	require.Contains(t, alerts.Alerts[0].Remedy, "rollcall dlq ls acme")
}

func TestTheGapRateIsTheMeanOfAWeek(t *testing.T) {
	t.Parallel()
	h := steady(t)
	record := func(date string, expected, gaps int) {
		h.exec(t, `INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, failure_count, started_at, completed_at)
			VALUES ('acme', 'user_daily', $1::text::date, 1, $2, $3, 0, rollcall_now(), $1::text::date + interval '27 hours')`, date, expected, gaps)
	}
	record("2026-02-01", 10, 10) // too long ago
	record("2026-02-27", 0, 0)   // no user had changed
	record("2026-02-28", 100, 3)
	record("2026-03-01", 50, 3)

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.InDelta(t, 0.03, *status.Health.AverageReconciliationGapRate, 1e-9)
	shown := status.Reconciliation
	require.Equal(t, new("2026-03-01"), shown.LastDate)
	require.Equal(t, int64(50), *shown.Expected)
	require.Equal(t, int64(3), *shown.Gaps)
	require.Equal(t, time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC), shown.LastRunAt.UTC())
}

func TestTheBudgetTellsWhoSpentIt(t *testing.T) {
	t.Parallel()
	h := steady(t)
	require.NoError(t, h.Store.ForgetThrottles(t.Context(), "acme"))
	take := func(job string) {
		_, granted, err := h.TakeGrant(t.Context(), "acme", job, time.Millisecond, time.Second)
		require.NoError(t, err)
		require.True(t, granted)
	}
	take(store.JobPoll)
	h.pass(t, "1 day")
	take(store.JobPoll)
	take(store.JobUserDaily)
	h.exec(t, `UPDATE sync_configs SET requests_per_second = 3, requests_per_minute = 100`)

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.Equal(t, map[string]int64{store.JobPoll: 1, store.JobUserDaily: 1}, status.Budget.Today)
	require.Equal(t, map[string]int64{store.JobPoll: 2, store.JobUserDaily: 1}, status.Budget.Total)
	require.Equal(t, new(100.0), status.Budget.PerMinute)
}
