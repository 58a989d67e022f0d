package main

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// rejectKeys switches giving off for customers whose keys had worked.
func (f *givingFixture) rejectKeys(t *testing.T, customers ...string) {
	t.Helper()
	for _, customer := range customers {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.SaveCustomerForGiving(ctx, customer, nil); err != nil {
				return err
			}
			config := store.VirtuousConfig{
				Customer: customer, DesignationsField: "designations", Defaults: []byte("{}"), Resolution: []byte("{}"), NeedsReviewAfterHours: 72,
				StuckAfterHours: 24,
			}
			if err := tx.SaveVirtuous(ctx, config); err != nil {
				return err
			}
			if err := tx.KeyGiven(ctx, customer); err != nil {
				return err
			}
			if _, err := tx.DisableGiving(ctx, customer, store.GivingAuthFailed); err != nil {
				return err
			}
			if err := event.Raise(ctx, tx, event.AlertFor(customer, event.AlertVirtuousAuthFailed)); err != nil {
				return err
			}
			return tx.KeyRefused(ctx, customer)
		}))
	}
}

func TestManyRejectedKeysAreTheFaultOfVirtuous(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	watch := keyRejections(f.settler)
	f.rejectKeys(t, "acme", "globex")
	require.NoError(t, watch.check(t.Context()))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM virtuous_configs WHERE NOT enabled`), "two rejected keys are two bad keys")
	f.rejectKeys(t, "initech")
	require.NoError(t, watch.check(t.Context()))
	require.Zero(t, f.count(t, `SELECT count(*) FROM virtuous_configs WHERE NOT enabled`))
	require.Equal(t, "virtuous_refuses_many", text(t, f, `SELECT string_agg(type, ',') FROM alerts WHERE cleared_at IS NULL`))

	require.NoError(t, f.store.KeyWorked(t.Context(), "acme"))
	f.sql(t, `UPDATE test_clock SET at = at + interval '2 minutes'`)
	require.NoError(t, watch.check(t.Context()))
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestRejectedKeysAmongManyThatAreAskedAreBadKeys(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	watch := keyRejections(f.settler)
	f.rejectKeys(t, "acme", "globex", "initech")
	for i := range 100 { // their first requests: the burst leaves next_at in the past
		_, granted, err := f.store.VirtuousBudgets().TakeGrant(t.Context(), "healthy-"+strconv.Itoa(i), "donations", time.Second, time.Second)
		require.NoError(t, err)
		require.True(t, granted)
	}
	require.NoError(t, watch.check(t.Context()))
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM virtuous_configs WHERE NOT enabled`))

	f.sql(t, `UPDATE virtuous_budgets SET taken_at = rollcall_now() - interval '61 seconds' WHERE customer_id > 'healthy-2'`)
	require.NoError(t, watch.check(t.Context()))
	require.Zero(t, f.count(t, `SELECT count(*) FROM virtuous_configs WHERE NOT enabled`), "few others are asked now")
}

func TestRejectedKeyThatHadWorkedIsRetriedHourly(t *testing.T) {
	t.Parallel()
	f := newGivingFixture(t)
	f.request(t, withVirtuous)
	watch := keyRejections(f.settler)
	f.rejectKeys(t, "acme")
	require.NoError(t, watch.tryRejected(t.Context()))
	require.False(t, f.config(t).Enabled, "not before an hour")
	f.sql(t, `UPDATE test_clock SET at = at + interval '61 minutes'`)
	require.NoError(t, watch.tryRejected(t.Context()))
	require.True(t, f.config(t).Enabled)
	require.Zero(t, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}
