package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// mustRedrive applies users as a page of redriven records and fails the test on an error.
func (f *fixture) mustRedrive(t *testing.T, users ...vomo.User) mirror.Outcome {
	t.Helper()
	f.RetryCaps = store.RetryCaps{Attempts: 12, Age: 24 * time.Hour}
	outcome, err := f.apply(t, page(1, users...), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	return outcome
}

func (f *fixture) letterStates(t *testing.T) []string {
	t.Helper()
	return queryColumn[string](t, f, `SELECT concat_ws(' ', record_id, state, attempts, settled_how) FROM dead_letters ORDER BY first_failed_at, record_id`)
}

func TestAcceptedRedriveSettlesItsLetterInThePagesTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1", "2")
	f.mustApply(t, users(2)...)
	f.crm.acceptAll()

	outcome := f.mustRedrive(t, user("1"))

	require.Equal(t, 1, outcome.Written)
	require.Equal(t, []string{"1 settled 1 retried", "2 review 1"}, f.letterStates(t))
	require.Equal(t, []bool{true}, queryColumn[bool](t, f, `SELECT d.xmin = m.xmin FROM dead_letters d JOIN user_mappings m ON m.vomo_user_id = d.record_id`))
}

func TestFailedRedriveCountsAnotherAttemptOfTheSameLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusServiceUnavailable, "", "1")
	f.mustApply(t, users(6)...)

	outcome := f.mustRedrive(t, user("1"), user("7"))

	require.Equal(t, 1, outcome.Failed)
	require.Equal(t, []string{"1 waiting 2"}, f.letterStates(t), "one letter, with one more attempt")
}

func TestRedriveOfAnObsoleteLetterWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1")
	f.mustApply(t, user("1"))
	f.crm.acceptAll()
	_, err := f.pool.Exec(t.Context(), `INSERT INTO user_mappings
			(customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		VALUES ('acme', '1', 'crm-1', now(), $1, 'another')`, noon.Add(time.Hour))
	require.NoError(t, err)
	f.crm.forgetRequests()

	outcome := f.mustRedrive(t, user("1"))

	require.Equal(t, 1, outcome.Skipped)
	require.Empty(t, f.crm.requests(), "the destination already has a newer version")
	require.Equal(t, []string{"1 settled 1 superseded"}, f.letterStates(t))
}

func TestRedriveOfARejectedNewerVersionOpensANewLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1")
	f.mustApply(t, user("1"))

	f.mustRedrive(t, user("1", updatedAfter(time.Second)))

	require.Equal(t, []string{"1 settled 1 superseded", "1 review 1"}, f.letterStates(t))
}

func TestPermanentlyRejectedRedriveMovesTheLetterToReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusServiceUnavailable, "", "1")
	f.mustApply(t, users(6)...)
	f.crm.respond(unprocessable, "", "1")

	f.mustRedrive(t, user("1"), user("7"))

	require.Equal(t, []string{"1 review 2"}, f.letterStates(t))
	require.Equal(t, []string{"http_422"}, queryColumn[string](t, f,
		`SELECT error_code FROM dead_letters WHERE error_class = 'permanent' AND next_attempt_at IS NULL`))
}

func TestRedriveDuringAnOutageCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, breakerHalfOpensAtOnce)
	f.crm.respond(http.StatusServiceUnavailable, "", "1")
	f.mustApply(t, users(6)...)
	f.crm.setAnswer(func(string, *http.Request) (int, string) { return http.StatusServiceUnavailable, "" })

	_, err := f.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true, PresumeOutage: true})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.Equal(t, []string{"1 waiting 1"}, f.letterStates(t))
}

func TestRedrivenRecordsRejectedWithTheSameCodeAreNoOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")
	f.mustApply(t, users(15)...)

	outcome := f.mustRedrive(t, users(12)...)

	require.Equal(t, 12, outcome.Failed)
	require.Len(t, queryColumn[string](t, f, `SELECT record_id FROM dead_letters WHERE attempts = 2 AND state = 'review'`), 12)
}

func TestStaleReadDuringARedriveSettlesNothing(t *testing.T) {
	t.Parallel()
	for _, mapped := range []bool{false, true} {
		f := newFixture(t)
		if mapped {
			f.mustApply(t, user("1"))
		}
		f.crm.respond(http.StatusServiceUnavailable, "", "1")
		f.mustApply(t, append(users(6)[1:], user("1", updatedAfter(time.Minute)))...)
		f.crm.acceptAll()
		f.crm.forgetRequests()

		outcome := f.mustRedrive(t, user("1")) // a stale replica of VOMO answers

		require.Equal(t, 1, outcome.Failed)
		require.Empty(t, f.crm.requests(), "a version known to be old is not written")
		require.Equal(t, []string{"1 waiting 2"}, f.letterStates(t), "the newer version is not lost")

		f.mustRedrive(t, user("1", updatedAfter(time.Minute)))
		require.Equal(t, []string{"1 settled 2 retried"}, f.letterStates(t))
	}
}
