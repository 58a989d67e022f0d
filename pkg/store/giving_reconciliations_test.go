package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestEndOfAPassAndTheScheduleLockACustomerInTheSameOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ('acme', true, now(), 'designations', '{}', 72, 24, '1', 'Relief', 'UTC', 'en-US', now())`)
	ask := func(ctx context.Context, tx *store.Tx) error {
		return tx.AskGivingReconciliations(ctx, []string{"acme"}, []string{"stuck"}, []int32{0}, true)
	}
	f.do(t, ask)
	ended := make(chan error, 1)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.LockDailyRunsDue(ctx, 10)
		if err != nil {
			return err
		}
		require.Len(t, due, 1)
		go func() {
			ended <- f.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.EndGivingReconciliation(ctx, "acme", "stuck") })
		}()
		f.untilBlocked(t, 1)
		if err := tx.SetNextDailyRuns(ctx, []string{"acme"}, []time.Time{time.Now()}, time.Hour); err != nil {
			return err
		}
		return ask(ctx, tx)
	})
	require.NoError(t, <-ended)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM giving_reconciliations`))
	require.True(t, value[bool](t, f, `SELECT last_reconciled_at IS NOT NULL FROM virtuous_configs`))
}
