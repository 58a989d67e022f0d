//go:build long

package store_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report" //nolint:depguard // what people wait for is measured, and not its statements alone
	"rollcall.dev/pkg/store"
)

// The bounds of these figures are for 100,000 customers and a machine that does nothing else.
func TestScaleFigures(t *testing.T) {
	t.Parallel()
	url, conn, customers := scaled(t)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	s := openStore(t, url, store.Options{})
	longest := func(what string, bound time.Duration, times int, do func() error) {
		t.Helper()
		if os.Getenv(scaleVariable) == "" { // beside all other tests
			bound *= 10
		}
		took := make([]time.Duration, times)
		for i := range took {
			began := time.Now()
			require.NoError(t, do(), what)
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		worst := took[times-1]
		t.Logf("%s: half of %d times within %s, all within %s", what, times, took[times/2].Round(time.Microsecond), worst.Round(time.Microsecond))
		require.Less(t, worst, bound, what)
	}
	exec := func(statement string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	logRowBytes(t, s, conn)
	longest("a pruning batch", 500*time.Millisecond, 20, func() error {
		_, err := s.ForgetJobs(t.Context(), 14*24*time.Hour)
		return err
	})
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM job_log`).Scan(&left))
	require.LessOrEqual(t, left, 10*customers-20_000, "each batch was a full one")
	longest("making four months", 4*time.Second, 1, func() error { return s.EnsureAuditMonths(t.Context()) })
	var months int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits WHERE inhparent = 'sync_audit'::regclass`).Scan(&months))
	require.Equal(t, 4, months, "three ahead, and the default one, which has this month")
	exec(`UPDATE sync_configs SET next_poll_at = now() - interval '1 minute', next_reconcile_at = now() - interval '1 minute'`)
	exec(`ANALYZE sync_configs`)
	longest("a scheduling round", time.Second, 20, func() error {
		return s.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			due, err := tx.DuePolls(ctx, 100)
			if err != nil || len(due) != 100 {
				return fmt.Errorf("%d customers: %w", len(due), err)
			}
			traces := make([]string, len(due))
			_, err = tx.StartRuns(ctx, store.RunStart{Kind: "poll", Job: "user_sync_poll", Customers: due, TraceIDs: traces})
			return err
		})
	})
	longest("a round of republication", time.Second, 5, func() error {
		_, err := s.UnattendedRuns(t.Context(), "poll", 0, 500)
		return err
	})
	longest("parked runs woken", time.Second, 5, func() error {
		return s.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.WakeParkedRuns(ctx, "poll")
			return err
		})
	})
	_, err := report.StatusOf(t.Context(), s, "c1") // once before: the first has its statements prepared
	require.NoError(t, err)
	number := 0
	longest("a status", 50*time.Millisecond, 50, func() error {
		number += customers / 60
		id := "c" + strconv.Itoa(number)
		_, err := report.StatusOf(t.Context(), s, id)
		return err
	})
}

// logRowBytes says what a row of each table takes on disk, with its indexes.
func logRowBytes(t *testing.T, s *store.Store, conn *pgx.Conn) {
	t.Helper()
	tables := []string{
		"operator_audit", "job_log", "dead_letters", "alerts", "reconciliation_gaps", "reconciliation_runs", "notifications", "alert_arrivals", "scan_seen",
		"outbox", "onboarding_requests", "deletion_candidates", "deletion_gifts",
	}
	sizes, err := s.TableSizes(t.Context(), tables)
	require.NoError(t, err)
	for _, table := range tables {
		var rows int64
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()).Scan(&rows))
		require.Positive(t, rows, table)
		t.Logf("%s: %d bytes a row", table, sizes[table]/rows)
	}
}
