package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

const requested = `SELECT split_part(subject, '.', 4) FROM outbox WHERE subject LIKE 'rollcall.poll.request.%' ORDER BY subject`

func TestACustomerWhoIsDueIsPolledFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.customers(1, 30)

	o.scheduled()

	require.Equal(t, []string{"c000"}, values[string](o, requested))
	require.Equal(t, []string{"2026-03-01"}, values[string](o, `SELECT to_char(updated_after AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM sync_runs`))
	require.Equal(t, []bool{true}, values[bool](o, `SELECT j.trace_id = r.trace_id AND j.job = 'user_sync_poll'
		FROM sync_runs r JOIN job_log j ON j.id = r.job_id`))
	o.done()
	o.scheduled()
	require.Empty(t, values[string](o, requested), "not again before its next place")
}

func TestNoPollIsDueForSomebodyWhoIsNotPolled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"before the first backfill": `backfill_completed_at = NULL`, "paused": `paused_at = now()`, "switched off": `enabled = false`,
		"offboarded": `offboarded_at = now()`, "later": `next_poll_at = rollcall_now() + interval '1 second'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.customers(2, 30)
			o.exec(`UPDATE sync_configs SET ` + change + ` WHERE customer_id = 'c001'`)

			o.scheduled()

			require.Equal(t, []string{"c000"}, values[string](o, requested))
		})
	}
}

func TestAPollThatIsStillUnderWayStandsForTheOneThatIsDue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.customers(2, 15)
	o.scheduled()
	o.exec(`DELETE FROM sync_runs WHERE customer_id = 'c001'; DELETE FROM outbox`)

	o.timeIs(o.now.Add(40 * time.Minute)) // more than two places of the cadence later
	o.scheduled()

	require.Equal(t, []string{"c001"}, values[string](o, requested), "c000's is under way")
	require.Equal(t, []int64{2}, values[int64](o, `SELECT count(*) FROM sync_runs`))
	require.Equal(t, []int64{2}, values[int64](o, `SELECT count(*) FROM sync_configs WHERE next_poll_at > rollcall_now()`),
		"what was missed is not caught up with several")
}

func TestPollsAreSpreadOverTheCadenceByTheCustomersOwnPlace(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.customers(300, 30)
	o.scheduled()
	first := values[time.Time](o, `SELECT next_poll_at FROM sync_configs ORDER BY customer_id`)
	minutes := map[time.Time]int{}
	for _, at := range first {
		require.True(t, at.After(o.now) && !at.After(o.now.Add(30*time.Minute)), at)
		minutes[at.Truncate(time.Minute)]++
	}
	require.GreaterOrEqual(t, len(minutes), 28, "nearly every minute has some")
	for minute, polls := range minutes {
		require.Less(t, polls, 30, minute)
	}

	o.done()
	o.timeIs(o.now.Add(31 * time.Minute)) // late: the places stay where they were
	o.scheduled()
	for i, at := range values[time.Time](o, `SELECT next_poll_at FROM sync_configs ORDER BY customer_id`) {
		require.Zero(t, at.Sub(first[i])%(30*time.Minute), "always the same place")
		require.True(t, at.After(o.now))
	}
}

func TestSeveralSchedulersShareWhoIsDue(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.customers(250, 30)
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			for more := true; more; {
				var err error
				if more, err = o.schedule(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	together.Wait()
	o.scheduled()

	require.Equal(t, []int64{250}, values[int64](o, `SELECT count(*) FROM outbox`))
	require.Equal(t, []int64{250}, values[int64](o, `SELECT count(*) FROM job_log`), "nobody twice")
}

func TestAShorterCadenceHoldsAtOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.customers(1, 7*24*60)
	o.scheduled()
	customer, err := o.store.Customer(t.Context(), "c000")
	require.NoError(t, err)
	customer.PollCadenceMinutes = 5
	require.NoError(t, o.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ChangeCustomer(ctx, customer) }))

	require.Equal(t, []bool{true}, values[bool](o, `SELECT next_poll_at <= rollcall_now() + interval '5 minutes' FROM sync_configs`))
}
