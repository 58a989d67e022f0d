package letterstream

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

// TestScaleOfOpenLetters measures publishing, auditing and purging letters, as many as ROLLCALL_SCALE_LETTERS says: the numbers
// are in docs/decisions/0039.
func TestScaleOfOpenLetters(t *testing.T) { //nolint:paralleltest // it measures memory
	letters, err := strconv.Atoi(os.Getenv("ROLLCALL_SCALE_LETTERS"))
	if err != nil {
		letters = 300 // a small run that only shows that the measurement works
	}
	f := newFixture(t)
	const customers = 20
	for customer := range customers {
		f.many(t, fmt.Sprint("c", customer), letters/customers)
	}
	measured := func(what string, work func()) {
		began := time.Now()
		work()
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		t.Logf("%d letters, %s: %s; heap of this process, with the NATS server: %d MiB",
			letters, what, time.Since(began).Round(time.Millisecond), memory.HeapAlloc>>20)
	}
	measured("nothing yet", func() {})
	if letters > 100_000 { // the publisher takes a while for so many
		measured("publish without the table", func() { f.publishAll(t) })
	}
	measured("publish", func() { f.update(t) })
	require.Equal(t, uint64(letters), f.stream(t).CachedInfo().State.Msgs)
	t.Logf("stream: %d MiB", f.stream(t).CachedInfo().State.Bytes>>20)
	measured("audit", func() { require.NoError(t, f.publisher.auditSubjects(t.Context())) })
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE published_revision IS DISTINCT FROM revision`))
	measured("count", func() {
		differ, err := f.publisher.countsDiffer(t.Context())
		require.NoError(t, err)
		require.False(t, differ)
	})
	f.exec(t, `UPDATE dead_letters SET revision = 2 WHERE id IN (SELECT id FROM dead_letters LIMIT 1000)`)
	measured("publish 1,000 again", func() { f.update(t) })
	f.exec(t, `UPDATE dead_letters SET state = 'settled', next_attempt_at = NULL WHERE id IN (SELECT id FROM dead_letters LIMIT 1000)`)
	measured("settle 1,000", func() { f.update(t) })
}

// publishAll publishes all letters as the publisher does, without its transactions.
func (f *fixture) publishAll(t *testing.T) {
	t.Helper()
	require.NoError(t, f.publisher.lookUpStream(t.Context()))
	rows, err := f.pool.Query(t.Context(), `SELECT id, customer_id, kind, state, record_id, error_code, error_class, first_failed_at, job FROM dead_letters`)
	require.NoError(t, err)
	defer rows.Close()
	var batch []bus.Outgoing
	flush := func() {
		for _, ack := range f.publisher.bus.PublishAcked(t.Context(), batch) {
			require.NoError(t, ack.Err)
		}
		batch = batch[:0]
	}
	for rows.Next() {
		letter := store.UnpublishedLetter{Letter: store.Letter{Revision: 1, Attempts: 1}}
		require.NoError(t, rows.Scan(&letter.ID, &letter.Customer, &letter.Kind, &letter.State, &letter.RecordID, &letter.ErrorCode,
			&letter.ErrorClass, &letter.FirstFailedAt, &letter.Job))
		message, err := messageOf(letter).Message()
		require.NoError(t, err)
		if batch = append(batch, message); len(batch) == 2000 {
			flush()
		}
	}
	require.NoError(t, rows.Err())
	flush()
	f.exec(t, `UPDATE dead_letters SET published_revision = revision`)
}
