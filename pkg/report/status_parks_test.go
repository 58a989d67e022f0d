package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

const noPage = "VOMO's answer is not a page of users: it is no JSON object with a list of data"

// parkBackfill claims and parks the customer's backfill.
func (h *house) parkBackfill(t *testing.T, run int64, reason, detail string, delay time.Duration) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ClaimRun(ctx, run, 1); err != nil {
			return err
		}
		return tx.ParkRun(ctx, run, 1, reason, detail, delay)
	})
}

func (h *house) reasonsOf(t *testing.T) []report.Reason {
	t.Helper()
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	return status.Health.Reasons
}

func TestAFirstBackfillThatVomoDoesNotLetThroughSaysWhySinceWhenAndUntilWhen(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.exec(t, `UPDATE sync_configs SET backfill_completed_at = NULL`)
	run := h.queue(t, "acme")

	h.parkBackfill(t, run, "vomo_unavailable", noPage, 2*time.Second)
	began := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	h.pass(t, "10 minutes")
	h.parkBackfill(t, run, "vomo_unavailable", noPage, 5*time.Minute)

	reasons := h.reasonsOf(t)
	require.Len(t, reasons, 1)
	require.Equal(t, "vomo_unavailable", reasons[0].Code)
	require.Contains(t, reasons[0].Text, noPage, "what the log knows")
	require.NotEmpty(t, reasons[0].Remedy)
	require.True(t, reasons[0].Unhealthy)
	require.True(t, began.Equal(*reasons[0].Since), "since the first park, not since the last attempt")
	require.True(t, began.Add(15*time.Minute).Equal(*reasons[0].Until))
	healthy, _ := h.stands(t)
	require.Equal(t, new(false), healthy)

	// While it is tried the reason stays, and no time is set.
	h.in(t, func(ctx context.Context, tx *store.Tx) error { _, err := tx.ClaimRun(ctx, run, 1); return err })
	reasons = h.reasonsOf(t)
	require.Len(t, reasons, 1)
	require.Nil(t, reasons[0].Until)
}

func TestEveryParkOfEveryKindOfWorkHasAReason(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	since := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	for kind, job := range map[string]string{store.KindPoll: store.JobPoll, store.KindUserDaily: store.JobUserDaily} {
		h.in(t, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.StartCheckpoint(ctx, "acme", store.ResourceUserSync); err != nil {
				return err
			}
			refs, err := tx.StartSyncRuns(ctx, store.SyncStart{Kind: kind, Job: job, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}})
			if err != nil {
				return err
			}
			if _, err := tx.ClaimSyncRun(ctx, refs[0].ID, 1); err != nil {
				return err
			}
			reason := map[string]string{store.KindPoll: "vomo_unavailable", store.KindUserDaily: "vomo_throttled"}[kind]
			return tx.ParkSyncRun(ctx, refs[0].ID, 1, reason, "", time.Minute)
		})
	}
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		scope := store.LetterScope{Customer: "acme", Kind: "user", Job: "initial_backfill", FirstDelay: 5 * time.Second}
		if err := tx.AddRecordLetters(ctx, scope, []store.RecordLetter{{
			ID: uuid.New(), RecordID: "3", Version: store.Version{UpdatedAt: noon, Hash: []byte("h")}, Subject: "s", ErrorCode: "http_422", ErrorClass: "permanent",
		}}); err != nil {
			return err
		}
		if err := tx.HoldLetters(ctx, "acme", event.AlertVomoForbidden, "VOMO forbids this token to read users", 15*time.Minute); err != nil {
			return err
		}
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertVomoForbidden))
	})

	reasons := map[string]report.Reason{}
	for _, reason := range h.reasonsOf(t) {
		reasons[reason.Code] = reason
		require.NotEmpty(t, reason.Remedy)
		require.True(t, since.Equal(*reason.Since), reason.Code)
	}

	require.Len(t, reasons, 3)
	require.True(t, reasons["vomo_unavailable"].Unhealthy)
	require.False(t, reasons["vomo_throttled"].Unhealthy, "the pace is VOMO's to set")
	for code, until := range map[string]time.Duration{"vomo_unavailable": time.Minute, "vomo_throttled": time.Minute, event.AlertVomoForbidden: 15 * time.Minute} {
		require.True(t, since.Add(until).Equal(*reasons[code].Until), code)
	}
	h.in(t, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseLetters(ctx, "acme") })
	h.exec(t, `DELETE FROM sync_runs`)
	h.exec(t, `UPDATE alerts SET cleared_at = raised_at`)
	require.Empty(t, h.reasonsOf(t))
}

func TestAReasonThatIsNoParkAlsoSaysSinceWhen(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.polled(t, "")
	h.pass(t, "5 minutes")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.PauseCustomer(ctx, "acme"); err != nil {
			return err
		}
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDLQAge))
	})
	h.pass(t, "3 days")
	reasons := h.reasonsOf(t)
	require.Len(t, reasons, 2)
	for _, reason := range reasons {
		require.True(t, time.Date(2026, time.March, 2, 9, 35, 0, 0, time.UTC).Equal(*reason.Since), reason.Code)
		require.Nil(t, reason.Until)
	}
}
