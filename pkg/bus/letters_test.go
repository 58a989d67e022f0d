package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

func TestLetterSubjectIsReadInBothForms(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"rollcall.dlq.retry.user.acme.1f0c", "rollcall.dlq.review.message._unknown.1f0c", "rollcall.dlq.retry.user.acme", "rollcall.dlq.review.user.acme",
	} {
		letter, ok := bus.ParseLetterSubject(subject)
		require.True(t, ok, subject)
		require.Equal(t, subject, letter.String())
	}
	letter, _ := bus.ParseLetterSubject("rollcall.dlq.retry.user.acme.1f0c")
	require.Equal(t, bus.LetterSubject{Waiting: true, Kind: "user", Customer: "acme", Letter: "1f0c"}, letter)
	for _, subject := range []string{
		"rollcall.dlq.retry.acme", "rollcall.dlq.retry.user.acme.1f0c.more", "rollcall.dlq.lost.user.acme.1f0c", "rollcall.poll.request.acme",
	} {
		_, ok := bus.ParseLetterSubject(subject)
		require.False(t, ok, subject)
	}
}

// oldLetterStream creates ROLLCALL_DLQ as the version before created it.
func oldLetterStream(t *testing.T, server *testkit.NATSServer) {
	t.Helper()
	server.Stream(t, jetstream.StreamConfig{
		Name: bus.StreamDLQ, Subjects: []string{bus.OldLetterRetries, bus.OldLetterReviews}, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, MaxMsgsPerSubject: -1, AllowDirect: true,
	})
}

func TestEnsureOnlyAddsSubjectsToOlderLetterStream(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	oldLetterStream(t, server)
	js := server.JetStream(t)
	for range 3 {
		_, err := js.Publish(bounded(t), "rollcall.dlq.review.user.acme", nil)
		require.NoError(t, err)
	}

	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))

	require.NoError(t, bus.Verify(bounded(t), js, ackWait))
	stream, err := js.Stream(bounded(t), bus.StreamDLQ)
	require.NoError(t, err)
	require.Equal(t, uint64(3), stream.CachedInfo().State.Msgs, "services of the version before have several messages per subject")
	require.False(t, bus.HoldsOneMessagePerLetter(stream))
	require.Len(t, stream.CachedInfo().Config.Subjects, 4)

	require.NoError(t, bus.LimitLetters(bounded(t), js))
	require.NoError(t, bus.Ensure(bounded(t), js, 1, ackWait))
	stream, err = js.Stream(bounded(t), bus.StreamDLQ)
	require.NoError(t, err)
	require.True(t, bus.HoldsOneMessagePerLetter(stream))
}

func TestPublishingLetterReplacesItsMessageAlsoInFullStream(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	require.NoError(t, changeStream(bus.StreamDLQ, func(config *jetstream.StreamConfig) { config.MaxMsgs = 1 })(bounded(t), js))
	subject := bus.LetterSubject{Kind: "user", Customer: "acme", Letter: "1f0c"}.String()
	for range 2 {
		_, err := js.Publish(bounded(t), subject, nil)
		require.NoError(t, err)
	}
	_, err := js.Publish(bounded(t), bus.LetterSubject{Kind: "user", Customer: "acme", Letter: "77d0"}.String(), nil)
	require.Error(t, err, "a full stream rejects other letters")
	stream, err := js.Stream(bounded(t), bus.StreamDLQ)
	require.NoError(t, err)
	require.Equal(t, uint64(2), stream.CachedInfo().State.LastSeq)
	require.NoError(t, bus.PurgeSubject(bounded(t), stream, subject))
	info, err := stream.Info(bounded(t))
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}
