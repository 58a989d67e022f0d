package letterstream

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// upgrade turns the stream into one of the version before, with these letters as that version's dlqretry published them,
// and runs migrate on it.
func (f *fixture) upgrade(t *testing.T, letters ...uuid.UUID) {
	t.Helper()
	require.NoError(t, f.js.DeleteStream(t.Context(), bus.StreamDLQ))
	f.server.Stream(t, jetstream.StreamConfig{
		Name: bus.StreamDLQ, Subjects: []string{bus.OldLetterRetries, bus.OldLetterReviews}, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxMsgsPerSubject: -1, AllowDirect: true,
	})
	created := bus.CreatedOf(f.stream(t))
	for _, id := range letters {
		sequence := f.publishOld(t, id)
		f.exec(t, `UPDATE dead_letters SET shown_revision = revision, shown_seq = $2, shown_stream = $3 WHERE id = $1`,
			id, int64(sequence), created)
	}
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, claimTimeout))
	require.False(t, bus.HoldsOneMessagePerLetter(f.stream(t)))
}

// publishOld publishes a letter as the version before does.
func (f *fixture) publishOld(t *testing.T, id uuid.UUID) uint64 {
	t.Helper()
	subject := value[string](t, f, `SELECT format('rollcall.dlq.%s.%s.%s', CASE state WHEN 'waiting' THEN 'retry' ELSE 'review' END, kind, customer_id)
		FROM dead_letters WHERE id = $1`, id)
	revision := value[int](t, f, `SELECT revision FROM dead_letters WHERE id = $1`, id)
	return f.publish(t, subject, map[string]string{
		bus.HeaderLetterID: id.String(), bus.HeaderMsgID: "letter-" + id.String() + "-" + strconv.Itoa(revision),
	}, `{"letterId":"`+id.String()+`"}`)
}

func (f *fixture) setRunning(running ...micro.Ping) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = running
}

// check asks once which services run, without the pause between checks.
func (f *fixture) check(t *testing.T) {
	t.Helper()
	f.publisher.oldForm.checkedAt, f.publisher.lookedUpAt = time.Time{}, time.Time{}
	f.update(t)
}

func TestStreamKeepsItsOldFormWhileServiceOfVersionBeforeRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waiting, review := f.letter(t, "1", true), f.letter(t, "2", false)
	f.upgrade(t, waiting, review)
	before := f.messages(t)
	for _, running := range [][]micro.Ping{
		{old("rollcall-dlqretry"), current("rollcall-dlqretry")}, {old("rollcall-poller"), current("rollcall-dlqretry")},
		nil, // without this service's own answer, silence proves nothing
	} {
		f.setRunning(running...)
		for range silentChecks + 1 {
			f.check(t)
		}
		f.letter(t, uuid.NewString(), true) // the version before publishes it
		f.check(t)
		require.Len(t, f.messages(t), len(before))
		require.False(t, bus.HoldsOneMessagePerLetter(f.stream(t)))
	}

	// One answer in between begins the count again.
	f.setRunning(current("rollcall-dlqretry"))
	for range silentChecks - 1 {
		f.check(t)
	}
	f.setRunning(old("rollcall-poller"), current("rollcall-dlqretry"))
	f.check(t)
	f.setRunning(current("rollcall-dlqretry"))
	for range silentChecks - 1 {
		f.check(t)
	}
	require.False(t, bus.HoldsOneMessagePerLetter(f.stream(t)))
	require.Len(t, f.messages(t), 2)
}

func TestOldFormStreamGetsTheSameOpenLettersByLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	letters := make([]uuid.UUID, 0, 220)
	for n := range 220 {
		letters = append(letters, f.letter(t, strconv.Itoa(n), n%2 == 0))
	}
	f.upgrade(t, letters[:200]...)
	f.settle(t, letters[0], letters[1])
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)

	start(t, f.publisher.Run)
	start(t, f.newPublisher().Run) // two replicas change it at once

	f.requirePublished(t, letters[2:]...)
	require.True(t, bus.HoldsOneMessagePerLetter(f.stream(t)))
	require.Zero(t, value[int](t, f, `SELECT count(asked_at) FROM dead_letters`), "the messages of the version before ask for nothing")
}

func TestRequestInOldFormRetriesItsLetterAlsoWhileFormChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	byHeader, byBody, later := f.letter(t, "1", false), f.letter(t, "2", false), f.letter(t, "3", false)
	f.upgrade(t, byHeader, byBody, later)
	f.publish(t, "rollcall.dlq.retry.user.acme", map[string]string{bus.HeaderLetterID: byHeader.String()}, "")
	f.publish(t, "rollcall.dlq.retry.user.acme", nil, `{"letterId":"`+byBody.String()+`"}`)
	for range silentChecks + 1 {
		f.check(t)
	}
	require.False(t, bus.HoldsOneMessagePerLetter(f.stream(t)), "the limit would drop one of the requests")

	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	start(t, f.publisher.Run)

	f.requirePublished(t, byHeader, byBody, later)
	require.Equal(t, []string{"waiting", "waiting", "review"}, []string{f.state(t, byHeader), f.state(t, byBody), f.state(t, later)})
	f.publish(t, "rollcall.dlq.retry.user.acme", map[string]string{bus.HeaderLetterID: later.String()}, "")
	require.Eventually(t, func() bool { return f.state(t, later) == "waiting" }, within, testPause, "for one release, also in the new form of the stream")
	f.requirePublished(t, byHeader, byBody, later)
}

func TestCrashWhileFormChangesIsRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waiting, review := f.letter(t, "1", true), f.letter(t, "2", false)
	f.upgrade(t, waiting, review)
	require.NoError(t, f.publisher.lookUpStream(t.Context()))
	require.NoError(t, bus.PurgeSubject(t.Context(), f.stream(t), bus.OldLetterReviews)) // and died
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)

	restarted := f.newPublisher()
	start(t, restarted.Run)

	f.requirePublished(t, waiting, review)
}

func TestAckOfMessageOfVersionBeforeSettlesItsLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	current, changed := f.letter(t, "1", false), f.letter(t, "2", false)
	f.upgrade(t, current, changed)
	f.exec(t, `UPDATE dead_letters SET revision = revision + 1 WHERE id = $1`, changed)
	for sequence := range uint64(2) {
		f.ack(t, sequence+1, time.Now())
	}
	require.Equal(t, "by_hand review", f.state(t, current)+" "+f.state(t, changed))
}
