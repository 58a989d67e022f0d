package letterstream

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

func TestOpenLetterHasOneMessageOfItsStateAndSettledLetterNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waiting, review := f.letter(t, "1", true), f.letter(t, "2", false)
	f.update(t)
	f.requirePublished(t, waiting, review)
	subjects := map[string]bool{}
	for _, message := range f.messages(t) {
		subjects[message.Subject] = true
		require.NotContains(t, string(message.Data), "example.org")
		require.Empty(t, message.Header.Get(bus.HeaderMsgID))
	}
	require.Equal(t, map[string]bool{retrySubject(waiting): true, reviewSubject(review): true}, subjects)

	f.ask(t, waiting, review)
	f.update(t)
	require.True(t, f.published(t, waiting, review), "both are on their retry subjects, and nowhere else")

	f.settle(t, waiting, review)
	f.update(t)
	require.True(t, f.published(t))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE published_revision IS NOT NULL`))
}

func TestLetterThatWasAskedForIsPublishedWhenItsRetryHasEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.publisher.retriedWithin = time.Hour
	settled, failed := f.letter(t, "1", false), f.letter(t, "2", false)
	f.update(t)
	before := f.messages(t)
	f.ask(t, settled, failed)

	f.update(t)
	require.Equal(t, before, f.messages(t), "their retry changes them again")

	f.settle(t, settled)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		failed := []deadletter.FailedAttempt{{Letter: store.OpenLetter{ID: failed}, Code: "http_500", Retryable: true}}
		return deadletter.CountAttempts(ctx, tx, "dlq_retry", store.RetryCaps{Attempts: 5, Age: time.Hour}, failed)
	})
	f.update(t)
	require.True(t, f.published(t, failed))
	require.Len(t, f.messages(t), 1)

	f.ask(t, failed)
	f.exec(t, `UPDATE dead_letters SET asked_at = rollcall_now() - interval '1 hour'`) // its customer's destination is down
	f.update(t)
	require.True(t, f.published(t, failed))
}

func TestLetterThatGoesToReviewLeavesItsRetrySubject(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", true)
	f.update(t)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		failed := []deadletter.FailedAttempt{{Letter: store.OpenLetter{ID: id}, Code: "http_422"}}
		return deadletter.CountAttempts(ctx, tx, "dlq_retry", store.RetryCaps{Attempts: 1}, failed)
	})
	f.update(t)
	require.True(t, f.published(t, id))
	require.Len(t, f.messages(t), 1)
}

func TestLostStreamGetsTheSameOpenLettersAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 350)
	ids := f.openIDs(t)
	start(t, f.publisher.Run)
	f.requirePublished(t, ids...)

	require.NoError(t, f.js.DeleteStream(t.Context(), bus.StreamDLQ))
	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_how = 'discarded' WHERE id = $1`, ids[0])
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, claimTimeout))

	f.requirePublished(t, ids[1:]...)
}

func TestReplicasPublishEachLetterOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 700)
	for range 3 {
		start(t, f.newPublisher().Run)
	}
	published := func() bool {
		return f.stream(t).CachedInfo().State.Msgs == 700 && value[int](t, f, `SELECT count(*) FROM dead_letters WHERE published_revision = revision`) == 700
	}
	require.Eventually(t, published, within, testPause)
	for range 5 { // the letters change meanwhile
		f.exec(t, `UPDATE dead_letters SET revision = revision + 1`)
	}
	require.Eventually(t, published, within, testPause)
	require.True(t, f.published(t, f.openIDs(t)...))
}

func TestLettersWithoutRoomWaitUntilOthersAreSettled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	limit := func(messages int64) {
		config := f.stream(t).CachedInfo().Config
		config.MaxMsgs = messages
		_, err := f.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	limit(6)
	for n := range 10 {
		f.letter(t, strconv.Itoa(n), false)
	}
	counts := func() []int {
		return []int{
			value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state <> 'settled' AND published_revision = revision`),
			int(f.stream(t).CachedInfo().State.Msgs),
		}
	}
	require.Error(t, f.publisher.update(t.Context()))
	require.Equal(t, []int{6, 6}, counts())

	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded'
		WHERE id IN (SELECT id FROM dead_letters WHERE published_revision IS NOT NULL LIMIT 3)`)
	require.Error(t, f.publisher.update(t.Context()), "one of seven letters has no room")
	require.Equal(t, []int{6, 6}, counts())

	start(t, f.publisher.Run)
	limit(-1)
	require.Eventually(t, func() bool { return counts()[0] == 7 && counts()[1] == 7 }, within, testPause, "and then by itself")
}

// A crash may come after any step. In each case the next update has to publish the letter as it is, once.

var errCrash = errors.New("killed")

// crash updates the stream and ends before the commit.
func (f *fixture) crash(t *testing.T, settled bool) {
	t.Helper()
	require.NoError(t, f.publisher.lookUpStream(t.Context()))
	err := f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		letters, err := tx.UnpublishedLetters(ctx, settled, 0, batchSize)
		require.NoError(t, err)
		require.NotEmpty(t, letters)
		if settled {
			require.NoError(t, f.publisher.purgeSettled(ctx, tx, letters))
		} else {
			_, rejected, err := f.publisher.publish(ctx, tx, letters)
			require.NoError(t, errors.Join(rejected, err))
		}
		return errCrash
	})
	require.ErrorIs(t, err, errCrash)
}

func TestCrashBetweenPublishAndCommitPublishesLetterOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", true)
	f.crash(t, false)
	f.update(t)
	require.True(t, f.published(t, id))

	f.ask(t, id) // also if it had a message before
	f.crash(t, false)
	f.update(t)
	require.True(t, f.published(t, id))
}

func TestLetterThatChangesAfterCrashLeavesNoMessageBehind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	review := f.letter(t, "1", false)
	f.crash(t, false)
	f.ask(t, review) // it is on its review subject, and the row does not say so
	f.update(t)
	require.True(t, f.published(t, review))

	settled := f.letter(t, "2", false)
	f.crash(t, false)
	f.settle(t, settled)
	f.update(t)
	require.NoError(t, f.publisher.auditSubjects(t.Context()))
	require.True(t, f.published(t, review), "the audit purges what no update knows of")
}

func TestCrashBetweenPurgeAndCommitPurgesAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, other := f.letter(t, "1", true), f.letter(t, "2", true)
	f.update(t)
	f.settle(t, id)
	f.crash(t, true)
	require.NoError(t, f.publisher.auditSubjects(t.Context()))
	f.update(t)
	require.True(t, f.published(t, other))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE published_revision IS NOT NULL`))
}

func TestRequestThatIsNotDeliveredYetSurvivesItsLettersPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", true)
	f.update(t)
	f.publish(t, retrySubject(id), nil, "")
	f.exec(t, `UPDATE dead_letters SET revision = revision + 1`) // it failed again meanwhile

	f.update(t)

	require.True(t, f.published(t, id))
	require.Equal(t, 1, value[int](t, f, `SELECT count(asked_at) FROM dead_letters`))
	require.Equal(t, []string{"acme"}, f.asked)
}

func TestRequestThatIsNotDeliveredYetSurvivesItsLettersReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "1", true)
	f.update(t)
	f.publish(t, retrySubject(id), nil, "")
	f.exec(t, `UPDATE dead_letters SET revision = revision + 1, state = 'review', next_attempt_at = NULL`)
	f.update(t)
	require.Len(t, f.messages(t), 2)

	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	require.Eventually(t, func() bool { return f.state(t, id) == "waiting" }, within, testPause)
	start(t, f.publisher.Run)
	f.requirePublished(t, id)
}

func TestAuditOfManyLettersFindsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 1203)
	f.update(t)
	last := f.stream(t).CachedInfo().State.LastSeq
	require.NoError(t, f.publisher.auditSubjects(t.Context()))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE published_revision IS DISTINCT FROM revision`))
	f.update(t)
	state := f.stream(t).CachedInfo()
	require.Equal(t, []uint64{1203, last}, []uint64{state.State.Msgs, state.State.LastSeq})
	require.Equal(t, jetstream.LimitsPolicy, state.Config.Retention)
}

func TestAuditPurgesUnknownSubjectsAndPublishesMissingLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	letters := make([]uuid.UUID, 0, 3)
	for i := range 3 {
		letters = append(letters, f.letter(t, strconv.Itoa(i), i > 0))
	}
	f.update(t)
	stream := f.stream(t)
	require.NoError(t, bus.PurgeSubject(t.Context(), stream, retrySubject(letters[1])))
	for _, subject := range []string{
		"rollcall.dlq.review.user.acme." + uuid.NewString(), "rollcall.dlq.review.user.globex." + letters[0].String(),
		"rollcall.dlq.review.user.acme.no-letter", reviewSubject(letters[1]),
	} {
		f.publish(t, subject, map[string]string{bus.HeaderLetterRevision: "1"}, "{}")
	}
	request := f.publish(t, retrySubject(letters[0]), nil, "")

	require.NoError(t, f.publisher.auditSubjects(t.Context()))
	f.update(t)

	messages := f.messages(t)
	require.Contains(t, messages, request, "it is not handled yet")
	require.Len(t, messages, 4)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	require.Eventually(t, func() bool { return f.state(t, letters[0]) == "waiting" }, within, testPause)
	start(t, f.publisher.Run)
	f.requirePublished(t, letters...)
}

func TestAuditPurgesOnlyHandledMessagesOfRetrySubjects(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waiting := f.letter(t, "1", true)
	f.update(t)
	f.work(t, bus.StreamDLQ, bus.DurableDLQRetry, f.requests.Handle)
	unknown := f.publish(t, "rollcall.dlq.retry.user.acme."+uuid.NewString(), map[string]string{bus.HeaderLetterRevision: "1"}, "")
	require.Eventually(t, func() bool {
		handled, err := f.publisher.handledUpTo(t.Context())
		return err == nil && handled >= unknown
	}, within, testPause)
	require.NoError(t, f.publisher.auditSubjects(t.Context()))
	require.True(t, f.published(t, waiting))
}
