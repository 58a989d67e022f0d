package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

const secret = "t0p-s3cret"

var errUnreadable = fault.Permanent("message_unreadable", errors.New("cannot read "+secret))

func delivery(subject string, sequence uint64) *worker.Delivery {
	return &worker.Delivery{Subject: subject, Stream: "ROLLCALL_ONBOARDING", Sequence: sequence, Deliveries: 3, Data: []byte(`{"vomoToken":"` + secret + `"}`)}
}

func TestAMessagesBytesAreSealedAndOpenWithTheCustomersKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	message := delivery("rollcall.onboarding.request.acme", 17)

	require.NoError(t, d.opener.OpenMessage(t.Context(), message, errUnreadable))

	sealed := values[[]byte](t, d, `SELECT payload_sealed FROM dead_letters`)[0]
	plain, err := d.vault.Open(t.Context(), "acme", deadletter.PurposePayload, sealed)
	require.NoError(t, err)
	require.Equal(t, message.Data, plain)
	_, err = d.vault.Open(t.Context(), "acme", "vomo_token", sealed)
	require.ErrorIs(t, err, vault.ErrForeign)
	d.requireNoTrace(t, secret)
}

func TestAMessageLetterIsInReview(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	require.NoError(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable))

	require.Equal(t, []string{"acme message review message_unreadable permanent 3 onboarding rollcall.onboarding.request.acme"}, values[string](t, d,
		`SELECT concat_ws(' ', customer_id, kind, state, error_code, error_class, attempts, job, original_subject) FROM dead_letters WHERE record_id IS NULL`))
}

func TestAMessageForNobodyIsSealedByTheInstallationAndItsSubjectCut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i, token := range []string{"Secret-Token-In-The-Subject", "_unknown", strings.Repeat("x", 64), ""} {
		message := delivery("rollcall.onboarding.request."+token, uint64(i)+1)

		require.NoError(t, d.opener.OpenMessage(t.Context(), message, errUnreadable), token)

		sealed := values[[]byte](t, d, `SELECT payload_sealed FROM dead_letters ORDER BY origin DESC LIMIT 1`)[0]
		plain, err := d.vault.OpenForInstallation(t.Context(), deadletter.PurposePayload, sealed)
		require.NoError(t, err)
		require.Equal(t, message.Data, plain)
	}
	require.Equal(t, []string{"_unknown rollcall.onboarding.request._unknown"},
		values[string](t, d, `SELECT DISTINCT customer_id || ' ' || original_subject FROM dead_letters`))
	require.Empty(t, values[string](t, d, `SELECT customer_id FROM customer_keys`), "nobody gets no key")
	d.requireNoTrace(t, "Secret-Token-In-The-Subject", secret)
}

func TestASubjectThatIsNoTextGetsALetterAllTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i, category := range []string{"\xff", "a\x00b"} {
		require.NoError(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.reconcile."+category+".acme", uint64(i)+1), errUnreadable))
	}
	require.Equal(t, []string{"_unknown rollcall.reconcile._._unknown", "_unknown rollcall.reconcile.a_b._unknown"},
		values[string](t, d, `SELECT customer_id || ' ' || original_subject FROM dead_letters ORDER BY origin`))
}

func TestTheSameMessageHasOneLetterHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var together sync.WaitGroup
	for range 4 { // on several replicas at once
		together.Go(func() {
			if err := d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	require.Len(t, values[string](t, d, `SELECT origin FROM dead_letters`), 1)

	d.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = rollcall_now(), settled_how = 'discarded'`)
	require.NoError(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 17), errUnreadable))
	require.Equal(t, []string{"settled"}, values[string](t, d, `SELECT state FROM dead_letters`), "a settled one is not opened again")
}

func TestAnotherMessageIsAnotherLetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	open := func(message *worker.Delivery) {
		require.NoError(t, d.opener.OpenMessage(t.Context(), message, errUnreadable))
	}
	open(delivery("rollcall.onboarding.request.acme", 17))
	open(delivery("rollcall.onboarding.request.acme", 18))
	other := delivery("rollcall.backfill.request.acme", 17)
	other.Stream = "ROLLCALL_BACKFILL"
	open(other)
	d.born = d.born.Add(time.Nanosecond) // a new stream: sequences start again
	open(delivery("rollcall.onboarding.request.acme", 17))

	require.Len(t, values[string](t, d, `SELECT DISTINCT origin FROM dead_letters`), 4)
	require.Len(t, values[string](t, d, `SELECT id::text FROM dead_letters`), 4)
}

func TestALetterStandsBeforeItsMessageMayBeSettled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable))
	require.Len(t, values[string](t, d, `SELECT origin FROM dead_letters`), 1, "another connection sees it")

	d.exec(t, `ALTER TABLE dead_letters RENAME TO letters_away`)
	require.Error(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 2), errUnreadable), "one that is not durable is none")
	d.exec(t, `ALTER TABLE letters_away RENAME TO dead_letters`)
	require.NoError(t, d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 2), errUnreadable))
	require.Len(t, values[string](t, d, `SELECT id::text FROM dead_letters`), 2)
}

func TestAMessageWhoseStreamIsUnknownGetsNoLetterYet(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	away := errors.New("no answer from the stream")
	d.opener.StreamCreated = func(context.Context, string) (time.Time, error) { return time.Time{}, away }

	err := d.opener.OpenMessage(t.Context(), delivery("rollcall.onboarding.request.acme", 1), errUnreadable)

	require.ErrorIs(t, err, away)
	require.Empty(t, values[string](t, d, `SELECT origin FROM dead_letters`))
}

// requireNoTrace looks through everything that letters leave behind.
func (d *desk) requireNoTrace(t *testing.T, words ...string) {
	t.Helper()
	kept := strings.Join(values[string](t, d, `SELECT to_jsonb(d)::text || encode(coalesce(payload_sealed, ''), 'escape') FROM dead_letters d
		UNION ALL SELECT subject || headers::text || convert_from(payload, 'UTF8') FROM outbox`), "\n")
	require.NotEmpty(t, kept)
	for _, word := range words {
		require.NotContains(t, kept, word)
	}
}
