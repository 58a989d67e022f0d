package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

var acmeCommand = operatorapi.CustomerCommand{CustomerID: "acme"}

// addBackfilledCustomer completes acme's first backfill, and starts a poll and a reconciliation.
func (f *operatorFixture) addBackfilledCustomer(t *testing.T) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.StartCheckpoint(ctx, "acme", store.ResourceUserSync); err != nil {
			return err
		}
		if err := tx.MarkBackfilled(ctx, "acme", 1); err != nil {
			return err
		}
		for kind, job := range map[string]string{store.KindPoll: store.JobPoll, store.KindUserDaily: store.JobUserDaily} {
			start := store.RunStart{Kind: kind, Job: job, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}}
			if _, err := tx.StartRuns(ctx, start); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *operatorFixture) countRequests(t *testing.T, subject string) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM outbox WHERE subject = '`+subject+`.acme'`)
}

func TestPauseFencesTheRunningJobAndIsPublishedOnce(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	f.addBackfilledCustomer(t)
	lease, err := f.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	done, err := f.pauseCustomer(t.Context(), acmeCommand)

	require.NoError(t, err)
	require.Equal(t, operatorapi.CustomerPaused, done.Action)
	require.NotNil(t, done.PausedAt)
	require.Nil(t, done.NextPollAt, "none is scheduled")
	require.ErrorIs(t, f.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }), store.ErrLaneLost)
	closing := func() (codes []string) {
		status, err := report.StatusUnder(t.Context(), f.store, "acme", f.limits)
		require.NoError(t, err)
		for _, reason := range status.Health.Reasons {
			codes = append(codes, reason.Code)
		}
		return codes
	}
	require.Contains(t, closing(), event.ConditionLaneClosing, "the command returns at once")
	require.NoError(t, lease.Release(t.Context()))
	require.NotContains(t, closing(), event.ConditionLaneClosing)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM runs WHERE kind <> 'backfill'`), "unfinished runs are kept")

	again, err := f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	require.Equal(t, operatorapi.CustomerAlreadyPaused, again.Action)
	require.Equal(t, done.PausedAt, again.PausedAt)
	require.Equal(t, 1, f.eventCount(t, event.CustomerPaused))
}

func TestResumeRequestsUnfinishedWorkAndIsPublishedOnce(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	none, err := f.resumeCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	require.Equal(t, operatorapi.CustomerNotPaused, none.Action)
	f.addBackfilledCustomer(t)
	_, err = f.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	f.do(t, func(ctx context.Context, tx *store.Tx) error { // a worker holds one run of each kind, and one is parked
		poll, err := tx.OpenRun(ctx, "acme", store.KindPoll)
		if err != nil {
			return err
		}
		if _, err = tx.ClaimRun(ctx, "acme", store.KindPoll, 1); err != nil {
			return err
		}
		if err := tx.ParkRun(ctx, poll.ID, 1, "vomo_unavailable", "", time.Hour); err != nil {
			return err
		}
		_, err = tx.ClaimRun(ctx, "acme", store.KindBackfill, 1)
		return err
	})
	_, err = f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	before := f.requests(t)

	done, err := f.resumeCustomer(t.Context(), acmeCommand)

	require.NoError(t, err)
	require.Equal(t, operatorapi.CustomerResumed, done.Action)
	require.Nil(t, done.PausedAt)
	require.NotNil(t, done.NextPollAt)
	require.Equal(t, new("queued"), done.Backfill)
	require.Equal(t, 1, f.countRequests(t, "rollcall.poll.request"))
	require.Equal(t, 1, f.countRequests(t, "rollcall.reconcile.user_daily"))
	require.Equal(t, before+1, f.requests(t))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM runs WHERE kind <> 'backfill' AND state = 'queued' AND due_at <= now() AND attempts = 0`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE active_since = next_poll_at AND active_since > now() - interval '1 minute'`))
	_, err = f.resumeCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	require.Equal(t, 1, f.eventCount(t, event.CustomerResumed))
}

func TestBackfillPausedByOperatorStaysPausedWhenCustomerIsResumed(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	_, err := f.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	_, err = f.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	_, err = f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	var conflict *service.ConflictError
	_, err = f.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict, "nothing is started for a paused customer")
	require.Contains(t, conflict.Text, "rollcall resume acme")
	before := f.requests(t)

	done, err := f.resumeCustomer(t.Context(), acmeCommand)

	require.NoError(t, err)
	require.Equal(t, new("paused"), done.Backfill)
	require.Equal(t, before, f.requests(t))
}

func TestBackfillResumedInQuietHoursWaitsForTheirEnd(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.StartBackfill(ctx, "acme", jobInitialBackfill, "00-trace-01")
		return err
	})
	require.Zero(t, f.count(t, `WITH changed AS (UPDATE sync_configs SET backfill_not_before = now() + interval '1 day') SELECT 0`))
	_, err := f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)

	done, err := f.resumeCustomer(t.Context(), acmeCommand)

	require.NoError(t, err)
	require.Equal(t, new("parked"), done.Backfill)
	require.Zero(t, f.requests(t), "no request is published before its time")
}

func TestOffboardedCustomerCannotBePaused(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	_, err := f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	})
	var conflict *service.ConflictError
	_, err = f.pauseCustomer(t.Context(), acmeCommand)
	require.ErrorAs(t, err, &conflict)
	_, err = f.resumeCustomer(t.Context(), acmeCommand)
	require.ErrorAs(t, err, &conflict)
	_, err = f.pauseCustomer(t.Context(), operatorapi.CustomerCommand{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{ID: "acme", ExternalSystemURL: "https://crm.example/v1", PollCadenceMinutes: 30, Destination: []byte(`{}`)})
		return err
	})
	back, err := f.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, back.Active(), "the pause ended with the customer")
}

func TestCustomerThatIsSwitchedOffIsResumedForANewToken(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	f.addBackfilledCustomer(t)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DisableCustomer(ctx, "acme", event.AlertAuthFailed)
		return err
	})
	_, err := f.pauseCustomer(t.Context(), acmeCommand)
	require.NoError(t, err)

	done, err := f.resumeCustomer(t.Context(), acmeCommand)

	require.NoError(t, err)
	require.False(t, done.Enabled)
	require.Nil(t, done.NextPollAt)
	require.Zero(t, f.countRequests(t, "rollcall.poll.request"))
}
