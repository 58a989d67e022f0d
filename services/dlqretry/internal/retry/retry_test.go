package retry

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
)

func TestDueLetterIsWrittenAndSettled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.start(t, 4)

	require.Eventually(t, func() bool { return f.state(t, id) == "retried" }, within, 10*time.Millisecond)
	require.Len(t, f.wrote(), 1)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM user_mappings WHERE vomo_user_id = '1'`))
	require.Eventually(t, func() bool {
		return value[int](t, f, `SELECT count(*) FROM job_log WHERE job = 'dlq_retry' AND outcome = 'success' AND processed_count = 1`) == 1
	}, within, 10*time.Millisecond)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.user.created.acme'`))
}

func TestLetterThatIsNotDueWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() + interval '5 seconds'`)

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))
	require.Equal(t, "waiting", f.state(t, id))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM job_log`))

	f.advance(t, 5*time.Second)
	f.round(t, "acme", 0, "")
	require.Equal(t, "retried", f.state(t, id))
}

func TestPermanentRejectionGoesToReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.crmSays(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`)

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))

	require.Equal(t, "review", f.state(t, id))
	require.Equal(t, "email_invalid permanent 2", value[string](t, f, `SELECT error_code || ' ' || error_class || ' ' || attempts FROM dead_letters`))
	require.Equal(t, "email_invalid dlq_retry", value[string](t, f, `SELECT (history->0->>'code') || ' ' || (history->0->>'job') FROM dead_letters`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts`))
}

func TestRejectedLetterEndsInReviewWhileOthersAreWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	poison := f.letter(t, "acme", "bad", true)
	f.crmSays(http.StatusInternalServerError, ``, "bad")

	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))
	require.Equal(t, "waiting", f.state(t, poison))
	require.Equal(t, 2, f.attempts(t, poison))
	wait := value[float64](t, f, `SELECT extract(epoch FROM next_attempt_at - rollcall_now())::float8 FROM dead_letters`)
	require.InDelta(t, 9, wait, 1.5)

	f.due(t)
	other := f.letter(t, "acme", "good", true)
	require.Equal(t, round.End{}, f.round(t, "acme", 0, ""))
	require.Equal(t, "review", f.state(t, poison), "the third attempt is the last")
	require.Equal(t, "retried", f.state(t, other))
	require.Equal(t, 2, value[int](t, f, `SELECT jsonb_array_length(history) FROM dead_letters WHERE record_id = 'bad'`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts`), "the destination works")
}

func TestManyRejectedLettersRaiseNoDestinationDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	for i := range 8 {
		f.letter(t, "acme", fmt.Sprint("bad-", i), true)
	}
	f.crmSays(http.StatusInternalServerError, ``, "bad-0", "bad-1", "bad-2", "bad-3", "bad-4", "bad-5", "bad-6", "bad-7")
	f.round(t, "acme", 0, "")
	require.Eventually(t, func() bool { // the breaker that they opened lets one request through again
		f.round(t, "acme", 1, "destination_down")
		return value[int](t, f, `SELECT count(*) FROM dead_letters WHERE attempts = 2`) == 8
	}, within, 50*time.Millisecond)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestLetterGoesToReviewAtItsMaximumOfRetryDelay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	id := f.letter(t, "acme", "1", true)
	f.exec(t, `UPDATE dead_letters SET waited = '50 minutes', next_attempt_at = last_failed_at + interval '10 minutes'`) // of an hour
	f.crmSays(http.StatusInternalServerError, ``, "1")
	f.advance(t, time.Hour)

	f.round(t, "acme", 0, "")

	require.Equal(t, "review", f.state(t, id))
	require.Equal(t, 2, f.attempts(t, id))
}

func TestOutageDoesNotCountTowardsRetryAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	id := f.letter(t, "acme", "1", true)
	f.crmSays(http.StatusServiceUnavailable, ``)
	for holds := range 3 { // it is down for 90 minutes; DLQ_RETRY_AGE is an hour here
		require.Equal(t, "destination_down", f.round(t, "acme", holds, "destination_down").Reason)
		f.advance(t, 30*time.Minute)
	}
	require.Equal(t, 1, f.attempts(t, id), "no attempt was made")

	f.crmSays(http.StatusServiceUnavailable, ``, "1") // it is back, and stumbles once over this record
	require.Eventually(t, func() bool {
		f.round(t, "acme", 3, "destination_down")
		return f.attempts(t, id) == 2
	}, within, 50*time.Millisecond)

	require.Equal(t, "waiting", f.state(t, id), "one attempt of its three is spent, and no minute in which it could be tried")
}

func TestPauseDoesNotCountTowardsRetryAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	id := f.letter(t, "acme", "1", true)
	f.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now()`)
	f.advance(t, 2*time.Hour)
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL, active_since = rollcall_now()`)
	f.crmSays(http.StatusServiceUnavailable, ``, "1")

	f.round(t, "acme", 0, "")

	require.Equal(t, 2, f.attempts(t, id))
	require.Equal(t, "waiting", f.state(t, id))
}

func TestTimeBeforeRequestDoesNotCountTowardsRetryAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	waiting, reviewed := f.letter(t, "acme", "1", true), f.letter(t, "acme", "2", false)
	f.crmSays(http.StatusServiceUnavailable, ``, "1", "2")
	f.advance(t, 48*time.Hour) // an outage, or a weekend in review; the cap is an hour
	f.ask(t, waiting, reviewed)

	f.round(t, "acme", 0, "")

	for _, id := range []uuid.UUID{waiting, reviewed} {
		require.Equal(t, 2, f.attempts(t, id))
		require.Equal(t, "waiting", f.state(t, id))
	}
}

func TestRetryWritesTheNewestStateAndNeverAnOlderOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	newer := f.letter(t, "acme", "1", true)
	f.set(func() { f.users["1"] = april })
	f.round(t, "acme", 0, "")
	require.Equal(t, "retried", f.state(t, newer))
	require.Equal(t, time.April, f.wrote()[0].updated.Month())

	stale := f.letterFor(t, "acme", "1", f.version(t, "acme", "1", march), true)
	f.set(func() { f.users["1"] = march }) // as if VOMO answered from a replica that lags
	f.round(t, "acme", 0, "")
	require.Equal(t, "superseded", f.state(t, stale))
	require.Len(t, f.wrote(), 1, "the newer version stays")
}

func TestLetterOfUserThatVomoDoesNotFindEndsInReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	arrives := f.letter(t, "acme", "2", true)
	f.set(func() { delete(f.users, "1") })

	f.round(t, "acme", 0, "")
	require.Equal(t, "waiting", f.state(t, id))
	require.Equal(t, "retried", f.state(t, arrives))
	require.Equal(t, "source_not_found retryable 2", value[string](t, f,
		`SELECT error_code || ' ' || error_class || ' ' || attempts FROM dead_letters WHERE record_id = '1'`))

	f.due(t)
	f.round(t, "acme", 0, "")
	require.Equal(t, "review", f.state(t, id))
	require.Equal(t, 2, value[int](t, f, `SELECT jsonb_array_length(history) FROM dead_letters WHERE record_id = '1'`))
}

func TestUserIsReadFromTheListIfVomoReturnsOnlyParticipations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	arrives, gone := f.letter(t, "acme", "1", true), f.letter(t, "acme", "2", true)
	f.set(func() {
		f.partial = true
		delete(f.users, "2")
	})

	f.round(t, "acme", 0, "")

	require.Equal(t, "retried", f.state(t, arrives))
	require.Equal(t, "waiting", f.state(t, gone))
	require.Equal(t, "source_not_found", value[string](t, f, `SELECT error_code FROM dead_letters WHERE record_id = '2'`))
	require.Len(t, f.wrote(), 1)
}

func TestEntryWithoutIDGoesBackToReviewAfterRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letterFor(t, "acme", "unreadable-c0ffee", store.Version{UpdatedAt: time.Unix(0, 0), Hash: []byte("no id")}, false)
	f.ask(t, id)

	f.round(t, "acme", 0, "")

	require.Equal(t, "review", f.state(t, id))
	require.Equal(t, "source_record_invalid", value[string](t, f, `SELECT error_code FROM dead_letters`))
	require.Empty(t, f.asked)
}

func TestUserThatVomoForbidsDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	bad := f.letter(t, "acme", "1", true)
	good := f.letter(t, "acme", "2", true)
	f.set(func() {
		f.vomo = func(path string) int {
			if path == "/1" {
				return http.StatusForbidden
			}
			return 0
		}
	})
	f.round(t, "acme", 0, "")
	require.Equal(t, "retried", f.state(t, good))
	require.Equal(t, 2, f.attempts(t, bad))
	require.Equal(t, "source_forbidden", value[string](t, f, `SELECT error_code FROM dead_letters WHERE record_id = '1'`))
}

func TestTakenLaneCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	lease, err := f.store.TakeLease(t.Context(), "acme", "poller", claimTimeout)
	require.NoError(t, err)

	require.Equal(t, round.End{Hold: job.LaneTakenPause, Reason: round.HeldLaneTaken}, f.round(t, "acme", 0, ""))

	require.Equal(t, 1, f.attempts(t, id))
	require.Empty(t, f.wrote())
	require.NoError(t, lease.Renew(t.Context()))
	require.True(t, lease.Wanted())
	require.NoError(t, lease.Release(t.Context()))
	f.round(t, "acme", 0, "")
	require.Equal(t, "retried", f.state(t, id))
}

func TestDestinationDownCountsNoAttemptAndIsClearedWhenItWorks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	for i := range 6 {
		f.letter(t, "acme", strconv.Itoa(i), true)
	}
	f.crmSays(http.StatusServiceUnavailable, ``)

	first := f.round(t, "acme", 0, "")
	require.Equal(t, round.End{Hold: 2 * time.Second, Reason: "destination_down", Counts: true}, first)
	f.advance(t, 2*time.Hour)
	for holds := 1; holds < 9; holds++ {
		again := f.round(t, "acme", holds, "destination_down")
		require.Equal(t, min(2*time.Second<<holds, time.Minute), again.Hold)
	}
	require.Equal(t, 6, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE state = 'waiting' AND attempts = 1`), "spends nothing, however long")
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM alerts WHERE type = 'destination_down' AND cleared_at IS NULL`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), "raised once")

	f.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Eventually(t, func() bool {
		f.round(t, "acme", 9, "destination_down")
		return value[int](t, f, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`) == 6
	}, within, 50*time.Millisecond)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
}

func TestThrottlingVomoCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.set(func() { f.vomo = func(string) int { return http.StatusTooManyRequests } })
	throttled := f.round(t, "acme", 0, "")
	require.Equal(t, "vomo_throttled", throttled.Reason)
	require.Equal(t, 1, f.attempts(t, id))
	require.Equal(t, "waiting", f.state(t, id))
}

func TestTokenThatVomoRejectsTwiceDisablesCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.letter(t, "acme", "1", true)
	f.set(func() { f.vomo = func(string) int { return http.StatusUnauthorized } })

	require.Equal(t, round.End{Reason: "auth_failed"}, f.round(t, "acme", 0, ""))

	require.Equal(t, 1, f.attempts(t, id))
	require.Equal(t, "auth_failed", value[string](t, f, `SELECT disabled_reason FROM sync_configs WHERE NOT enabled`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM alerts WHERE type = 'auth_failed'`))
	customers, err := f.store.LetterCustomers(t.Context())
	require.NoError(t, err)
	require.Empty(t, customers, "letters wait for a new token")
}
