package messageletter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

const secret = "t0p-s3cret"

var errUnreadable = fault.Permanent("message_unreadable", errors.New("cannot read "+secret))

func delivery(subject string, sequence uint64) *worker.Delivery {
	return &worker.Delivery{Subject: subject, Stream: "ROLLCALL_ONBOARDING", Sequence: sequence, Deliveries: 3, Data: []byte(`{"vomoToken":"` + secret + `"}`)}
}

func TestMessagePayloadIsSealedWithCustomersKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	message := delivery("rollcall.onboarding.request.acme", 17)

	require.NoError(t, f.opener.OpenMessage(t.Context(), message, errUnreadable))

	sealed := values[[]byte](t, f, `SELECT payload_sealed FROM dead_letters`)[0]
	plain, err := f.vault.Open(t.Context(), "acme", messageletter.PurposePayload, sealed)
	require.NoError(t, err)
	require.Equal(t, message.Data, plain)
	_, err = f.vault.Open(t.Context(), "acme", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
	f.requireNoTrace(t, secret)
}

func TestMessageLetterIsInReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable))

	require.Equal(t, []string{"acme message review message_unreadable permanent 3 onboarding rollcall.onboarding.request.acme"}, values[string](t, f,
		`SELECT concat_ws(' ', customer_id, kind, state, error_code, error_class, attempts, job, original_subject) FROM dead_letters WHERE record_id IS NULL`))
}

func TestMessageOfUnknownCustomerIsSealedWithInstallationKeyWithoutItsLastToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, token := range []string{"Secret-Token-In-The-Subject", "_unknown", strings.Repeat("x", 64), ""} {
		message := delivery("rollcall.onboarding.request."+token, uint64(i)+1)

		require.NoError(t, f.opener.OpenMessage(t.Context(), message, errUnreadable), token)

		sealed := values[[]byte](t, f, `SELECT payload_sealed FROM dead_letters ORDER BY origin DESC LIMIT 1`)[0]
		plain, err := f.vault.OpenForInstallation(t.Context(), messageletter.PurposePayload, sealed)
		require.NoError(t, err)
		require.Equal(t, message.Data, plain)
	}
	require.Equal(t, []string{"_unknown rollcall.onboarding.request._unknown"},
		values[string](t, f, `SELECT DISTINCT customer_id || ' ' || original_subject FROM dead_letters`))
	require.Empty(t, values[string](t, f, `SELECT customer_id FROM customer_keys`), "an unknown customer must not get a key")
	f.requireNoTrace(t, "Secret-Token-In-The-Subject", secret)
}

func TestMessageWithInvalidUTF8SubjectGetsLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, category := range []string{"\xff", "a\x00b"} {
		require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.reconcile."+category+".acme", uint64(i)+1), errUnreadable))
	}
	require.Equal(t, []string{"_unknown rollcall.reconcile._._unknown", "_unknown rollcall.reconcile.a_b._unknown"},
		values[string](t, f, `SELECT customer_id || ' ' || original_subject FROM dead_letters ORDER BY origin`))
}

func TestRedeliveredMessageHasOneLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var together sync.WaitGroup
	for range 4 { // on several replicas at once
		together.Go(func() {
			if err := f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	require.Len(t, values[string](t, f, `SELECT origin FROM dead_letters`), 1)

	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = rollcall_now(), settled_how = 'discarded'`)
	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable))
	require.Equal(t, []string{"settled"}, values[string](t, f, `SELECT state FROM dead_letters`), "a settled letter must not be opened again")
}

func TestEachMessageHasItsOwnLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	open := func(message *worker.Delivery) {
		require.NoError(t, f.opener.OpenMessage(t.Context(), message, errUnreadable))
	}
	open(delivery("rollcall.onboarding.request.acme", 17))
	open(delivery("rollcall.onboarding.request.acme", 18))
	other := delivery("rollcall.backfill.request.acme", 17)
	other.Stream = "ROLLCALL_BACKFILL"
	open(other)
	f.streamCreated = f.streamCreated.Add(time.Nanosecond) // a new stream: sequences start again
	open(delivery("rollcall.onboarding.request.acme", 17))

	require.Len(t, values[string](t, f, `SELECT DISTINCT origin FROM dead_letters`), 4)
	require.Len(t, values[string](t, f, `SELECT id::text FROM dead_letters`), 4)
}

func TestOpenMessageReturnsAfterLetterIsStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable))
	require.Len(t, values[string](t, f, `SELECT origin FROM dead_letters`), 1, "another connection must see it")

	f.exec(t, `ALTER TABLE dead_letters RENAME TO renamed_letters`)
	require.Error(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 2), errUnreadable), "a letter must be stored or fail")
	f.exec(t, `ALTER TABLE renamed_letters RENAME TO dead_letters`)
	require.NoError(t, f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 2), errUnreadable))
	require.Len(t, values[string](t, f, `SELECT id::text FROM dead_letters`), 2)
}

func TestOpenMessageFailsIfStreamCreationTimeIsUnknown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	errNoAnswer := errors.New("no answer from the stream")
	f.opener.StreamCreated = func(context.Context, string) (time.Time, error) { return time.Time{}, errNoAnswer }

	err := f.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable)

	require.ErrorIs(t, err, errNoAnswer)
	require.Empty(t, values[string](t, f, `SELECT origin FROM dead_letters`))
}

// requireNoTrace checks that no stored letter or outbox message contains the words.
func (f *fixture) requireNoTrace(t *testing.T, words ...string) {
	t.Helper()
	kept := strings.Join(values[string](t, f, `SELECT to_jsonb(d)::text || encode(coalesce(payload_sealed, ''), 'escape') FROM dead_letters d
		UNION ALL SELECT subject || headers::text || convert_from(payload, 'UTF8') FROM outbox`), "\n")
	require.NotEmpty(t, kept)
	for _, word := range words {
		require.NotContains(t, kept, word)
	}
}
