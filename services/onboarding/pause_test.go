package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

var acmeItself = report.CustomerCommand{CustomerID: "acme"}

// backfilled has acme through its first backfill, with a poll and a reconciliation begun.
func (o *office) backfilled(t *testing.T) {
	t.Helper()
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.StartCheckpoint(ctx, "acme", store.ResourceUserSync); err != nil {
			return err
		}
		if err := tx.MarkBackfilled(ctx, "acme", 1); err != nil {
			return err
		}
		for kind, job := range map[string]string{store.KindPoll: store.JobPoll, store.KindUserDaily: store.JobUserDaily} {
			start := store.SyncStart{Kind: kind, Job: job, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}}
			if _, err := tx.StartSyncRuns(ctx, start); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *office) requested(t *testing.T, subject string) int {
	t.Helper()
	return o.desk.count(t, `SELECT count(*) FROM outbox WHERE subject = '`+subject+`.acme'`)
}

func TestPauseFencesTheRunningJobAndIsPublishedOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.backfilled(t)
	lease, err := o.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	done, err := o.pauseCustomer(t.Context(), acmeItself)

	require.NoError(t, err)
	require.Equal(t, report.CustomerPaused, done.Action)
	require.NotNil(t, done.PausedAt)
	require.Nil(t, done.NextPollAt, "none is scheduled")
	require.ErrorIs(t, o.store.InLane(t.Context(), lease, func(context.Context, *store.Tx) error { return nil }), store.ErrLaneLost)
	closing := func() (codes []string) {
		status, err := report.StatusUnder(t.Context(), o.store, "acme", o.limits)
		require.NoError(t, err)
		for _, reason := range status.Health.Reasons {
			codes = append(codes, reason.Code)
		}
		return codes
	}
	require.Contains(t, closing(), event.ConditionLaneClosing, "the command returns at once")
	require.NoError(t, lease.Release(t.Context()))
	require.NotContains(t, closing(), event.ConditionLaneClosing)
	require.Equal(t, 2, o.desk.count(t, `SELECT count(*) FROM sync_runs`), "what is unfinished stays")

	again, err := o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	require.Equal(t, report.CustomerAlreadyPaused, again.Action)
	require.Equal(t, done.PausedAt, again.PausedAt)
	require.Equal(t, 1, o.eventCount(t, event.CustomerPaused))
}

func TestResumeRequestsUnfinishedWorkAndIsPublishedOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	none, err := o.resumeCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	require.Equal(t, report.CustomerNotPaused, none.Action)
	o.backfilled(t)
	_, err = o.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	o.do(t, func(ctx context.Context, tx *store.Tx) error { // a worker has one of each, and one is parked
		poll, err := tx.OpenSyncRun(ctx, "acme", store.KindPoll)
		if err != nil {
			return err
		}
		if _, err = tx.ClaimSyncRun(ctx, poll.ID, 1); err != nil {
			return err
		}
		if err := tx.ParkSyncRun(ctx, poll.ID, 1, "vomo_unavailable", "", time.Hour); err != nil {
			return err
		}
		open, err := tx.OpenRun(ctx, "acme")
		if err != nil {
			return err
		}
		_, err = tx.ClaimRun(ctx, open.ID, 1)
		return err
	})
	_, err = o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	before := o.requests(t)

	done, err := o.resumeCustomer(t.Context(), acmeItself)

	require.NoError(t, err)
	require.Equal(t, report.CustomerResumed, done.Action)
	require.Nil(t, done.PausedAt)
	require.NotNil(t, done.NextPollAt)
	require.Equal(t, new("queued"), done.Backfill)
	require.Equal(t, 1, o.requested(t, "rollcall.poll.request"))
	require.Equal(t, 1, o.requested(t, "rollcall.reconcile.user_daily"))
	require.Equal(t, before+1, o.requests(t))
	require.Equal(t, 2, o.desk.count(t, `SELECT count(*) FROM sync_runs WHERE state = 'queued' AND due_at <= now() AND attempts = 0`))
	require.Equal(t, 1, o.desk.count(t, `SELECT count(*) FROM sync_configs WHERE active_since = next_poll_at AND active_since > now() - interval '1 minute'`))
	_, err = o.resumeCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	require.Equal(t, 1, o.eventCount(t, event.CustomerResumed))
}

func TestABackfillThatWasPausedByItselfStaysPaused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	_, err = o.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	_, err = o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	var conflict *service.ConflictError
	_, err = o.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict, "nothing is started for a paused customer")
	require.Contains(t, conflict.Text, "rollcall resume acme")
	before := o.requests(t)

	done, err := o.resumeCustomer(t.Context(), acmeItself)

	require.NoError(t, err)
	require.Equal(t, new("paused"), done.Backfill)
	require.Equal(t, before, o.requests(t))
}

func TestABackfillInItsQuietHoursIsResumedForTheirEnd(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := tx.StartRun(ctx, "acme", jobInitialBackfill, "00-trace-01")
		return err
	})
	require.Zero(t, o.desk.count(t, `WITH changed AS (UPDATE sync_configs SET backfill_not_before = now() + interval '1 day') SELECT 0`))
	_, err := o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)

	done, err := o.resumeCustomer(t.Context(), acmeItself)

	require.NoError(t, err)
	require.Equal(t, new("parked"), done.Backfill)
	require.Zero(t, o.requests(t), "no worker is asked before its time")
}

func TestOffboardedCustomerCannotBePaused(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	})
	var conflict *service.ConflictError
	_, err = o.pauseCustomer(t.Context(), acmeItself)
	require.ErrorAs(t, err, &conflict)
	_, err = o.resumeCustomer(t.Context(), acmeItself)
	require.ErrorAs(t, err, &conflict)
	_, err = o.pauseCustomer(t.Context(), report.CustomerCommand{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)

	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{ID: "acme", ExternalSystemURL: "https://crm.example/v1", PollCadenceMinutes: 30, Destination: []byte(`{}`)})
		return err
	})
	back, err := o.store.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, back.Active(), "the pause ended with the customer")
}

func TestCustomerThatIsSwitchedOffIsResumedForANewToken(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.backfilled(t)
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.DisableCustomer(ctx, "acme", event.AlertAuthFailed)
		return err
	})
	_, err := o.pauseCustomer(t.Context(), acmeItself)
	require.NoError(t, err)

	done, err := o.resumeCustomer(t.Context(), acmeItself)

	require.NoError(t, err)
	require.False(t, done.Enabled)
	require.Nil(t, done.NextPollAt)
	require.Zero(t, o.requested(t, "rollcall.poll.request"))
}
