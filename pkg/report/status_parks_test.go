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
func (h *fixture) parkBackfill(t *testing.T, run int64, reason, detail string, delay time.Duration) {
	t.Helper()
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.ClaimRun(ctx, "acme", store.KindBackfill, 1); err != nil {
			return err
		}
		return tx.ParkRun(ctx, run, 1, reason, detail, delay)
	})
}

func (h *fixture) reasonsOf(t *testing.T) []report.Reason {
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
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.ClaimRun(ctx, "acme", store.KindBackfill, 1)
		return err
	})
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
			refs, err := tx.StartRuns(ctx, store.RunStart{Kind: kind, Job: job, Customers: []string{"acme"}, TraceIDs: []string{"00-trace-01"}})
			if err != nil {
				return err
			}
			if _, err := tx.ClaimRun(ctx, "acme", kind, 1); err != nil {
				return err
			}
			reason := map[string]string{store.KindPoll: "vomo_unavailable", store.KindUserDaily: "vomo_throttled"}[kind]
			return tx.ParkRun(ctx, refs[0].ID, 1, reason, "", time.Minute)
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
	h.exec(t, `DELETE FROM runs WHERE kind <> 'backfill'`)
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

func TestStatusSaysWhatWaitsToBeWrittenBackAndWhy(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.exec(t, `UPDATE sync_configs SET write_back = '{"fields":["phone"],"create":false}'`)
	h.exec(t, `INSERT INTO writebacks (customer_id, vomo_user_id, state, stamps, requested_at, updated_at)
		SELECT 'acme', n::text, CASE WHEN n = 3 THEN 'done' ELSE 'waiting' END, '{}', rollcall_now(), rollcall_now() FROM generate_series(1, 3) n`)
	h.exec(t, `INSERT INTO writeback_holds SELECT 'acme', 'vomo_unavailable', 'VOMO answered 502', 2, at, rollcall_now(),
		at + interval '1 minute' FROM rollcall_now() at`)
	h.exec(t, `INSERT INTO review_items (customer_id, kind, source_id, reason, decisions, state, created_at)
		VALUES ('acme', 'user', 9, 'email_mismatch', '{dismiss}', 'open', rollcall_now())`)

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.Equal(t, []string{"phone"}, status.WriteBack.Fields)
	require.EqualValues(t, 2, status.WriteBack.Waiting)
	require.NotNil(t, status.WriteBack.WaitingSince)
	require.EqualValues(t, 1, status.WriteBack.OpenReviews)
	require.Len(t, status.Health.Reasons, 1)
	require.Equal(t, "vomo_unavailable", status.Health.Reasons[0].Code)
	require.Contains(t, status.Health.Reasons[0].Text, "VOMO answered 502")
}
