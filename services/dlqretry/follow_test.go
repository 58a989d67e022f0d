package main

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

func (d *desk) publish(t testing.TB, subject, id string, headers map[string]string, body string) uint64 {
	t.Helper()
	ack := (&bus.Publisher{JetStream: d.js, Logger: zap.NewNop()}).PublishAcked(t.Context(),
		[]bus.Outgoing{{Subject: subject, ID: id, Headers: headers, Payload: []byte(body)}})[0]
	require.NoError(t, ack.Err)
	return ack.Sequence
}

// followed brings the stream up to date once.
func (d *desk) followed(t testing.TB) {
	t.Helper()
	require.NoError(t, d.follow.follow(t.Context()))
}

func TestOpenLettersAreShownAsTheyAreAndSettledOnesAreNot(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	waiting := d.letter(t, "acme", "1", true)
	review := d.letter(t, "acme", "2", false)
	d.followed(t)
	d.requireShown(t, waiting, review)
	subjects := map[string]bool{}
	for _, message := range d.dlq(t) {
		subjects[message.Subject] = true
		require.NotContains(t, string(message.Data), "example.org")
	}
	require.Equal(t, map[string]bool{"rollcall.dlq.retry.user.acme": true, "rollcall.dlq.review.user.acme": true}, subjects)

	d.ask(t, review)
	d.followed(t)
	d.requireShown(t, waiting, review)
	require.Len(t, d.dlq(t), 2, "the showing before is gone")

	d.turn(t, "acme", 0, "")
	d.followed(t)
	d.requireShown(t)
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE shown_seq IS NOT NULL`))
}

func TestAStreamThatWasLostShowsTheSameOpenLettersAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.many(t, "acme", 350)
	start(t, d.follow.run)
	var ids []uuid.UUID
	rows, err := d.pool.Query(t.Context(), `SELECT id FROM dead_letters`)
	require.NoError(t, err)
	for rows.Next() {
		var id uuid.UUID
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err())
	d.requireShown(t, ids...)

	require.NoError(t, d.js.DeleteStream(t.Context(), bus.StreamDLQ))
	d.exec(t, `UPDATE dead_letters SET state = 'settled', settled_how = 'discarded' WHERE id = $1`, ids[0])
	require.NoError(t, bus.Ensure(t.Context(), d.js, 1, claimTimeout))

	d.requireShown(t, ids[1:]...)
}

func TestADuplicateWhoseMessageWasDeletedIsPublishedAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.followed(t)
	stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 1))
	d.exec(t, `UPDATE dead_letters SET shown_revision = NULL, shown_seq = NULL, shown_stream = NULL`)

	d.followed(t)

	d.requireShown(t, id)
	require.Contains(t, d.dlq(t), uint64(2))
}

// crash publishes what there is and dies before it notes where.
func (d *desk) crash(t *testing.T) {
	t.Helper()
	require.NoError(t, d.follow.look(t.Context()))
	died := errors.New("killed")
	err := d.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		letters, err := tx.UnshownLetters(ctx, false, showAtOnce)
		require.NoError(t, err)
		refused, err := d.follow.bring(ctx, tx, letters)
		require.NoError(t, errors.Join(refused, err))
		return died
	})
	require.ErrorIs(t, err, died)
}

func TestACrashBetweenPublishingAndNotingShowsNoLetterTwice(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.crash(t)
	d.followed(t)
	d.requireShown(t, id)
	require.Contains(t, d.dlq(t), uint64(1), "the one that was published is adopted")

	// Also where it had been shown before, and the one before is deleted already.
	d.ask(t, id)
	d.crash(t)
	d.followed(t)
	d.requireShown(t, id)
}

func TestAMessageWhoseNoteWasLostIsAdoptedAndAsksForNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.crash(t)
	d.read(t, bus.StreamDLQ, bus.DurableDLQRetry, d.review.handle)
	d.requireShown(t, id)
	require.Zero(t, value[int](t, d, `SELECT count(asked_at) FROM dead_letters`))
}

func TestTheAuditDeletesWhatNobodyKnowsAndShowsWhatIsGone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var letters []uuid.UUID
	for i := range 3 {
		letters = append(letters, d.letter(t, "acme", strconv.Itoa(i), i > 0))
	}
	stray := d.publish(t, "rollcall.dlq.review.user.acme", "letter-"+letters[0].String(), map[string]string{bus.HeaderLetterID: letters[0].String()}, "{}")
	d.followed(t)
	stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	gone := value[int64](t, d, `SELECT shown_seq FROM dead_letters WHERE id = $1`, letters[1])
	require.NoError(t, stream.DeleteMsg(t.Context(), uint64(gone)))
	asked := d.publish(t, "rollcall.dlq.retry.user.acme", "", map[string]string{bus.HeaderLetterID: letters[0].String()}, "{}")

	require.NoError(t, d.follow.audit(t.Context()))
	d.followed(t)

	shown := d.dlq(t)
	require.NotContains(t, shown, stray)
	require.Contains(t, shown, asked, "nobody has judged it yet")
	require.Len(t, shown, 4)
	d.read(t, bus.StreamDLQ, bus.DurableDLQRetry, d.review.handle)
	require.Eventually(t, func() bool { return d.state(t, letters[0]) == "waiting" }, within, 20*time.Millisecond)
	start(t, d.follow.run)
	d.requireShown(t, letters...)
}

func TestAnAuditOfManyMessagesFindsNothingToMend(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.many(t, "acme", 1203)
	d.followed(t)
	before := value[string](t, d, `SELECT string_agg(shown_seq::text, ',' ORDER BY id) FROM dead_letters`)
	began := time.Now()
	require.NoError(t, d.follow.audit(t.Context()))
	t.Logf("1,203 messages audited in %s", time.Since(began))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE shown_revision IS DISTINCT FROM revision`))
	d.followed(t)
	require.Equal(t, before, value[string](t, d, `SELECT string_agg(shown_seq::text, ',' ORDER BY id) FROM dead_letters`))
	stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	require.Equal(t, uint64(1203), stream.CachedInfo().State.Msgs)
	require.Equal(t, jetstream.LimitsPolicy, stream.CachedInfo().Config.Retention)
}

func TestReplicasShowEachLetterOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.many(t, "acme", 700)
	for range 3 {
		replica := &follower{store: d.store, js: d.js, publisher: d.follow.publisher, logger: zap.NewNop(), woken: make(chan struct{}, 1)}
		start(t, replica.run)
	}
	stream, err := d.js.Stream(t.Context(), bus.StreamDLQ)
	require.NoError(t, err)
	shown := func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 700 && value[int](t, d, `SELECT count(*) FROM dead_letters WHERE shown_revision = revision`) == 700
	}
	require.Eventually(t, shown, within, 20*time.Millisecond)
	for range 5 { // while they change under them
		d.exec(t, `UPDATE dead_letters SET revision = revision + 1`)
	}
	require.Eventually(t, shown, within, 20*time.Millisecond)
	require.Equal(t, 700, value[int](t, d, `SELECT count(DISTINCT shown_seq) FROM dead_letters`))
}

// slowStream is one whose server takes longer than a second to give the audit its first page: nats.go then ends the fetch
// with no message and no error (pull.go: `case <-time.After(req.Expires + 1*time.Second)`).
type slowStream struct{ jetstream.Stream }

func (s *slowStream) CreateConsumer(ctx context.Context, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := s.Stream.CreateConsumer(ctx, config)
	return &slowConsumer{Consumer: consumer}, err
}

type slowConsumer struct {
	jetstream.Consumer
	asked bool
}

func (c *slowConsumer) FetchNoWait(batch int) (jetstream.MessageBatch, error) {
	if !c.asked {
		c.asked = true
		return silence{}, nil
	}
	return c.Consumer.FetchNoWait(batch)
}

type silence struct{}

func (silence) Messages() <-chan jetstream.Msg {
	none := make(chan jetstream.Msg)
	close(none)
	return none
}
func (silence) Error() error { return nil }

func TestAnAuditTakesASlowServerForNoEmptyStream(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.many(t, "acme", 250)
	d.followed(t)
	d.follow.stream = &slowStream{d.follow.stream}

	require.ErrorIs(t, d.follow.audit(t.Context()), errSilent)

	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE shown_seq IS NULL`), "all of them are shown")
}
