package report_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

func TestBoardHasTheWorstFirstWithTheirReasonLagAndRates(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	for _, customer := range []string{"acme", "globex", "initech", "umbrella"} {
		h.onboard(t, customer)
	}
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("umbrella", event.AlertDestinationDown))
	})
	h.queue(t, "acme")
	h.queue(t, "initech")
	require.NoError(t, h.Store.MoveRuns(t.Context(), store.KindBackfill))
	h.exec(t, `UPDATE sync_configs SET backfill_completed_at = rollcall_now(), last_polled_at = rollcall_now(),
		caught_up_at = rollcall_now() - interval '90 seconds' WHERE customer_id = 'globex'`)
	h.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now(), requests_per_minute = 30 WHERE customer_id = 'initech'`)
	h.exec(t, `UPDATE runs SET state = 'running', pages = 4, processed = 60, active_seconds = 120`)

	var kept report.KeptBoard
	limits := budget.Limits{PerSecond: 3, PerMinute: 100}
	board, err := report.BoardUnder(t.Context(), &kept, h.Store, limits, report.BoardQuestion{Limit: 3})
	require.NoError(t, err)
	require.Equal(t, 4, board.Count)
	require.Equal(t, map[string]int{"needs-you": 1, "paused": 1, "starting": 1, "healthy": 1}, board.States)
	require.Len(t, board.Customers, 3)
	worst, paused, starting := board.Customers[0], board.Customers[1], board.Customers[2]
	require.Equal(t, []string{"umbrella", "initech", "acme"}, []string{worst.CustomerID, paused.CustomerID, starting.CustomerID})
	require.Equal(t, event.AlertDestinationDown, worst.Reason.Code)
	require.NotEmpty(t, worst.Reason.Remedy)
	require.Nil(t, worst.Rates)
	require.Equal(t, &report.BoardRates{Runs: 1, RecordsPerMinute: 30, RequestsPerMinute: 2, RequestsAllowed: 30}, paused.Rates)
	require.Equal(t, "running", starting.Backfill.State)
	require.Equal(t, report.BoardRates{Runs: 2, RecordsPerMinute: 60, RequestsPerMinute: 4, RequestsAllowed: 130}, board.Rates)

	h.exec(t, `UPDATE sync_configs SET paused_at = NULL WHERE customer_id = 'initech'`)
	board, err = report.BoardUnder(t.Context(), &kept, h.Store, limits, report.BoardQuestion{})
	require.NoError(t, err)
	require.Equal(t, 1, board.States["paused"], "many who look read the customers once")
	require.Equal(t, new(int64(90)), board.Customers[3].LagSeconds)
	kept.Forget()
	board, err = report.BoardUnder(t.Context(), &kept, h.Store, limits, report.BoardQuestion{})
	require.NoError(t, err)
	require.Zero(t, board.States["paused"])
}
