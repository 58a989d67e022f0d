package retry

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/round"
)

// counts returns how many letters are in a state, or were settled so.
func (f *fixture) counts(t testing.TB, state string) int {
	t.Helper()
	return value[int](t, f, `SELECT count(*) FROM dead_letters WHERE coalesce(settled_how, state) = $1`, state)
}

// onWrite calls a function before the CRM accepts its nth write.
func (f *fixture) onWrite(nth int, do func()) {
	writes := 0
	f.set(func() {
		f.crm = func(string, string) (int, string) {
			f.mu.Lock()
			writes++
			isNth := writes == nth
			f.mu.Unlock()
			if isNth {
				do()
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})
}

func (f *fixture) requireWrittenOnce(t *testing.T) {
	t.Helper()
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM (SELECT FROM sync_audit WHERE succeeded GROUP BY record_id HAVING count(*) > 1) r`))
}

func TestRoundRetriesAllDueLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 4*lettersPerPage+1)

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, 61, f.counts(t, "retried"))
	require.Len(t, f.wrote(), 61)
	require.Equal(t, "61 0 success", value[string](t, f, `SELECT processed_count || ' ' || failure_count || ' ' || outcome FROM job_log`), "one line")
}

func TestRoundThatIsOverStartsNoOtherPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.retrier.Turn = time.Nanosecond
	f.many(t, "acme", 4*lettersPerPage)

	require.Equal(t, round.End{More: true}, f.round(t, "acme", 0, ""))

	require.Equal(t, lettersPerPage, f.counts(t, "retried"))
}

func TestLetterIsTriedOnceInARound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 3*lettersPerPage)
	f.letter(t, "acme", "bad", true)
	// A letter that failed is due again before the round ends.
	f.exec(t, `CREATE FUNCTION due_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.next_attempt_at := rollcall_now(); RETURN NEW; END $$`)
	f.exec(t, `CREATE TRIGGER due_at_once BEFORE UPDATE ON dead_letters FOR EACH ROW WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION due_at_once()`)
	f.set(func() {
		f.crm = func(_, id string) (int, string) {
			if id == "bad" {
				return http.StatusInternalServerError, ""
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})

	require.Equal(t, round.End{More: true}, f.round(t, "acme", 0, ""))

	require.Equal(t, 3*lettersPerPage, f.counts(t, "retried"))
	require.Equal(t, 2, value[int](t, f, `SELECT attempts FROM dead_letters WHERE record_id = 'bad'`))
}

func TestLettersThatBecomeDueAreRetriedInTheSameRound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(t, "acme", 2*lettersPerPage)
	var asked []uuid.UUID
	for n := range 20 {
		asked = append(asked, f.letter(t, "acme", fmt.Sprint("asked-", n), false))
	}
	f.onWrite(1, func() { f.ask(t, asked...) }) // as a drain does

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, 50, f.counts(t, "retried"))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM job_log`))
}

func TestDestinationThatFailsDuringARoundCostsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	f.many(t, "acme", 4*lettersPerPage)
	f.set(func() {
		f.crm = func(string, string) (int, string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.tried > 2*lettersPerPage {
				return http.StatusServiceUnavailable, ""
			}
			return http.StatusOK, `{"id":"crm"}`
		}
	})

	require.Equal(t, "destination_down", f.round(t, "acme", 0, "").Reason)

	settled := f.counts(t, "retried")
	require.GreaterOrEqual(t, settled, lettersPerPage)
	require.Equal(t, 4*lettersPerPage-settled, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state = 'waiting' AND attempts = 1`))
}

func TestLaneLostBetweenPagesSettlesNothingTwice(t *testing.T) {
	t.Parallel()
	for _, nth := range []int{1, lettersPerPage, lettersPerPage + 1, 2*lettersPerPage + 5} {
		f := newFixture(t)
		f.many(t, "acme", 4*lettersPerPage)
		f.onWrite(nth, func() { // as after a kill
			f.exec(t, `UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
		})

		require.Equal(t, round.End{Hold: round.LaneLostPause, Reason: round.HeldLaneLost}, f.round(t, "acme", 0, ""))

		settled := f.counts(t, "retried")
		require.Equal(t, settled, value[int](t, f, `SELECT count(*) FROM user_mappings`))
		require.Less(t, settled, nth)
		require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))
		require.Equal(t, 4*lettersPerPage, f.counts(t, "retried"))
		f.requireWrittenOnce(t)
	}
}
