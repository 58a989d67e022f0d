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

func TestDueCustomerIsPolledFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customers(1, 30)

	f.scheduled()

	require.Equal(t, []string{"c000"}, values[string](f, requested))
	require.Equal(t, []string{"2026-03-01"}, values[string](f, `SELECT to_char(updated_after AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM runs`))
	require.Equal(t, []bool{true}, values[bool](f, `SELECT j.trace_id = r.trace_id AND j.job = 'user_sync_poll'
		FROM runs r JOIN job_log j ON j.id = r.job_id`))
	f.finishRuns()
	f.scheduled()
	require.Empty(t, values[string](f, requested), "no second poll before the next due time")
}

func TestInactiveCustomerIsNotPolled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"before the first backfill": `backfill_completed_at = NULL`, "paused": `paused_at = now()`, "switched off": `enabled = false`,
		"offboarded": `offboarded_at = now()`, "later": `next_poll_at = rollcall_now() + interval '1 second'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.customers(2, 30)
			f.exec(`UPDATE sync_configs SET ` + change + ` WHERE customer_id = 'c001'`)

			f.scheduled()

			require.Equal(t, []string{"c000"}, values[string](f, requested))
		})
	}
}

func TestPollInProgressReplacesDuePoll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customers(2, 15)
	f.scheduled()
	f.exec(`DELETE FROM runs WHERE customer_id = 'c001'; DELETE FROM outbox`)

	f.setClock(f.now.Add(40 * time.Minute)) // more than two cadences later
	f.scheduled()

	require.Equal(t, []string{"c001"}, values[string](f, requested), "c000's poll is in progress")
	require.Equal(t, []int64{2}, values[int64](f, `SELECT count(*) FROM runs`))
	require.Equal(t, []int64{2}, values[int64](f, `SELECT count(*) FROM sync_configs WHERE next_poll_at > rollcall_now()`),
		"missed polls must not be made up for")
}

func TestPollsAreSpreadEvenlyAndEachCustomerKeepsItsOffset(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customers(300, 30)
	f.scheduled()
	first := values[time.Time](f, `SELECT next_poll_at FROM sync_configs ORDER BY customer_id`)
	minutes := map[time.Time]int{}
	for _, at := range first {
		require.True(t, at.After(f.now) && !at.After(f.now.Add(30*time.Minute)), at)
		minutes[at.Truncate(time.Minute)]++
	}
	require.GreaterOrEqual(t, len(minutes), 28, "nearly every minute must have polls")
	for minute, polls := range minutes {
		require.Less(t, polls, 30, minute)
	}

	f.finishRuns()
	f.setClock(f.now.Add(31 * time.Minute)) // late: the offsets must not move
	f.scheduled()
	for i, at := range values[time.Time](f, `SELECT next_poll_at FROM sync_configs ORDER BY customer_id`) {
		require.Zero(t, at.Sub(first[i])%(30*time.Minute), "the offset must stay the same")
		require.True(t, at.After(f.now))
	}
}

func TestConcurrentSchedulersStartEachPollOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customers(250, 30)
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			for more := true; more; {
				var err error
				if more, err = f.schedule(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	together.Wait()
	f.scheduled()

	require.Equal(t, []int64{250}, values[int64](f, `SELECT count(*) FROM outbox`))
	require.Equal(t, []int64{250}, values[int64](f, `SELECT count(*) FROM job_log`), "no customer twice")
}

func TestShorterCadenceAppliesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customers(1, 7*24*60)
	f.scheduled()
	customer, err := f.store.Customer(t.Context(), "c000")
	require.NoError(t, err)
	customer.PollCadenceMinutes = 5
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.ChangeCustomer(ctx, customer) }))

	require.Equal(t, []bool{true}, values[bool](f, `SELECT next_poll_at <= rollcall_now() + interval '5 minutes' FROM sync_configs`))
}
