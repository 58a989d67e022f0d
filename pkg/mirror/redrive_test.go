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

// redriven brings users' newest state for letters that are to be retried.
func (h *house) redriven(t *testing.T, users ...vomo.User) mirror.Outcome {
	t.Helper()
	h.RetryCaps = store.RetryCaps{Attempts: 12, Age: 24 * time.Hour}
	outcome, err := h.apply(t, page(1, users...), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	return outcome
}

func (h *house) letterStates(t *testing.T) []string {
	t.Helper()
	return values[string](t, h, `SELECT concat_ws(' ', record_id, state, attempts, settled_how) FROM dead_letters ORDER BY first_failed_at, record_id`)
}

func TestARedrivenRecordThatIsTakenSettlesItsLetterInThePagesTransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1", "2")
	h.applied(t, users(2)...)
	h.crm.works()

	outcome := h.redriven(t, user("1"))

	require.Equal(t, 1, outcome.Written)
	require.Equal(t, []string{"1 settled 1 retried", "2 review 1"}, h.letterStates(t))
	require.Equal(t, []bool{true}, values[bool](t, h, `SELECT d.xmin = m.xmin FROM dead_letters d JOIN user_mappings m ON m.vomo_user_id = d.record_id`))
}

func TestARedrivenRecordThatIsRefusedAgainCountsAtTheSameLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusServiceUnavailable, "", "1")
	h.applied(t, users(6)...)

	outcome := h.redriven(t, user("1"), user("7"))

	require.Equal(t, 1, outcome.Failed)
	require.Equal(t, []string{"1 waiting 2"}, h.letterStates(t), "one letter, with one more attempt")
}

func TestARedriveOfAnOldVersionThatCameByAnotherWayWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	h.applied(t, user("1"))
	h.crm.works()
	_, err := h.pool.Exec(t.Context(), `INSERT INTO user_mappings
			(customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		VALUES ('acme', '1', 'crm-1', now(), $1, 'another')`, noon.Add(time.Hour))
	require.NoError(t, err)
	h.crm.forget()

	outcome := h.redriven(t, user("1"))

	require.Equal(t, 1, outcome.Skipped)
	require.Empty(t, h.crm.saw(), "the destination keeps the newer one")
	require.Equal(t, []string{"1 settled 1 superseded"}, h.letterStates(t))
}

func TestARedriveThatBringsANewerVersionWhichIsRefusedOpensALetterForThat(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	h.applied(t, user("1"))

	h.redriven(t, user("1", after(time.Second)))

	require.Equal(t, []string{"1 settled 1 superseded", "1 review 1"}, h.letterStates(t))
}

func TestARedriveThatIsRefusedForGoodIsLeftToAnOperator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusServiceUnavailable, "", "1")
	h.applied(t, users(6)...)
	h.crm.says(unprocessable, "", "1")

	h.redriven(t, user("1"), user("7"))

	require.Equal(t, []string{"1 review 2"}, h.letterStates(t))
	require.Equal(t, []string{"http_422"}, values[string](t, h, `SELECT error_code FROM dead_letters WHERE error_class = 'permanent' AND next_attempt_at IS NULL`))
}

func TestARedriveThatADestinationsOutageStopsSpendsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, breakerShutsAtOnce)
	h.crm.says(http.StatusServiceUnavailable, "", "1")
	h.applied(t, users(6)...)
	h.crm.answers(func(string, *http.Request) (int, string) { return http.StatusServiceUnavailable, "" })

	_, err := h.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true, Lenient: true})

	require.ErrorIs(t, err, mirror.ErrDestinationDown)
	require.Equal(t, []string{"1 waiting 1"}, h.letterStates(t))
}

func TestAPageOfRedrivenRecordsThatAreAllRefusedAlikeIsNoOutage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")
	h.applied(t, users(15)...)

	outcome := h.redriven(t, users(12)...)

	require.Equal(t, 12, outcome.Failed)
	require.Len(t, values[string](t, h, `SELECT record_id FROM dead_letters WHERE attempts = 2 AND state = 'review'`), 12)
}

func TestARedriveThatBringsAnOlderVersionThanTheLettersSettlesNothing(t *testing.T) {
	t.Parallel()
	for _, mapped := range []bool{false, true} {
		h := newHouse(t)
		if mapped {
			h.applied(t, user("1"))
		}
		h.crm.says(http.StatusServiceUnavailable, "", "1")
		h.applied(t, append(users(6)[1:], user("1", after(time.Minute)))...)
		h.crm.works()
		h.crm.forget()

		outcome := h.redriven(t, user("1")) // by a replica of VOMO's that lags

		require.Equal(t, 1, outcome.Failed)
		require.Empty(t, h.crm.saw(), "the destination gets no version that is known to be old")
		require.Equal(t, []string{"1 waiting 2"}, h.letterStates(t), "the newer version is not lost")

		h.redriven(t, user("1", after(time.Minute)))
		require.Equal(t, []string{"1 settled 2 retried"}, h.letterStates(t))
	}
}
