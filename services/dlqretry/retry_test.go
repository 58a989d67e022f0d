package main

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

func TestARetryableLetterArrivesByItselfAndIsSettled(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	start(t, d.retry.run)

	require.Eventually(t, func() bool { return d.state(t, id) == "retried" }, within, 10*time.Millisecond)
	require.Len(t, d.wrote(), 1)
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM user_mappings WHERE vomo_user_id = '1'`))
	require.Eventually(t, func() bool {
		return value[int](t, d, `SELECT count(*) FROM job_log WHERE job = 'dlq_retry' AND outcome = 'success' AND processed_count = 1`) == 1
	}, within, 10*time.Millisecond)
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.user.created.acme'`))
}

func TestALetterThatIsNotDueWaits(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.exec(t, `UPDATE dead_letters SET next_attempt_at = rollcall_now() + interval '5 seconds'`)

	require.Equal(t, ended{}, d.turn(t, "acme", 0, ""))
	require.Equal(t, "waiting", d.state(t, id))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM job_log`))

	d.advance(t, 5*time.Second)
	d.turn(t, "acme", 0, "")
	require.Equal(t, "retried", d.state(t, id))
}

func TestWhatIsRefusedForGoodGoesToReview(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.crmSays(http.StatusUnprocessableEntity, `{"code":"email_invalid"}`)

	require.Equal(t, ended{}, d.turn(t, "acme", 0, ""))

	require.Equal(t, "review", d.state(t, id))
	require.Equal(t, "email_invalid permanent 2", value[string](t, d, `SELECT error_code || ' ' || error_class || ' ' || attempts FROM dead_letters`))
	require.Equal(t, "email_invalid dlq_retry", value[string](t, d, `SELECT (history->0->>'code') || ' ' || (history->0->>'job') FROM dead_letters`))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts`))
}

func TestALetterThatNobodyTakesEndsInReviewWhileOthersArrive(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	poison := d.letter(t, "acme", "bad", true)
	d.crmSays(http.StatusInternalServerError, ``, "bad")

	require.Equal(t, ended{}, d.turn(t, "acme", 0, ""))
	require.Equal(t, "waiting", d.state(t, poison))
	require.Equal(t, 2, d.attempts(t, poison))
	wait := value[float64](t, d, `SELECT extract(epoch FROM next_attempt_at - rollcall_now())::float8 FROM dead_letters`)
	require.InDelta(t, 9, wait, 1.5)

	d.due(t)
	other := d.letter(t, "acme", "good", true)
	require.Equal(t, ended{}, d.turn(t, "acme", 0, ""))
	require.Equal(t, "review", d.state(t, poison), "the third attempt is the last")
	require.Equal(t, "retried", d.state(t, other))
	require.Equal(t, 2, value[int](t, d, `SELECT jsonb_array_length(history) FROM dead_letters WHERE record_id = 'bad'`))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts`), "the destination works")
}

func TestManyLettersThatNobodyTakesAreNoDestinationThatIsDown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	for i := range 8 {
		d.letter(t, "acme", fmt.Sprint("bad-", i), true)
	}
	d.crmSays(http.StatusInternalServerError, ``, "bad-0", "bad-1", "bad-2", "bad-3", "bad-4", "bad-5", "bad-6", "bad-7")
	d.turn(t, "acme", 0, "")
	require.Eventually(t, func() bool { // the breaker that they opened lets one request through again
		d.turn(t, "acme", 1, "destination_down")
		return value[int](t, d, `SELECT count(*) FROM dead_letters WHERE attempts = 2`) == 8
	}, within, 50*time.Millisecond)
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestALetterIsLeftToAnOperatorWhenItWasPutOffForLongEnough(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	id := d.letter(t, "acme", "1", true)
	d.exec(t, `UPDATE dead_letters SET waited = '50 minutes', next_attempt_at = last_failed_at + interval '10 minutes'`) // of an hour
	d.crmSays(http.StatusInternalServerError, ``, "1")
	d.advance(t, time.Hour)

	d.turn(t, "acme", 0, "")

	require.Equal(t, "review", d.state(t, id))
	require.Equal(t, 2, d.attempts(t, id))
}

func TestAnOutageSpendsNothingOfALettersAge(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	id := d.letter(t, "acme", "1", true)
	d.crmSays(http.StatusServiceUnavailable, ``)
	for holds := range 3 { // it is down for 90 minutes; DLQ_RETRY_AGE is an hour here
		require.Equal(t, "destination_down", d.turn(t, "acme", holds, "destination_down").reason)
		d.advance(t, 30*time.Minute)
	}
	require.Equal(t, 1, d.attempts(t, id), "no attempt was made")

	d.crmSays(http.StatusServiceUnavailable, ``, "1") // it is back, and stumbles once over this record
	require.Eventually(t, func() bool {
		d.turn(t, "acme", 3, "destination_down")
		return d.attempts(t, id) == 2
	}, within, 50*time.Millisecond)

	require.Equal(t, "waiting", d.state(t, id), "one attempt of its three is spent, and no minute in which it could be tried")
}

func TestAPauseSpendsNothingOfALettersAge(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	id := d.letter(t, "acme", "1", true)
	d.exec(t, `UPDATE sync_configs SET paused_at = rollcall_now()`)
	d.advance(t, 2*time.Hour)
	d.exec(t, `UPDATE sync_configs SET paused_at = NULL, active_since = rollcall_now()`)
	d.crmSays(http.StatusServiceUnavailable, ``, "1")

	d.turn(t, "acme", 0, "")

	require.Equal(t, 2, d.attempts(t, id))
	require.Equal(t, "waiting", d.state(t, id))
}

func TestALetterThatIsAskedForPaysNothingForTheTimeBefore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	waiting, reviewed := d.letter(t, "acme", "1", true), d.letter(t, "acme", "2", false)
	d.crmSays(http.StatusServiceUnavailable, ``, "1", "2")
	d.advance(t, 48*time.Hour) // an outage, or a weekend in review; the cap is an hour
	d.ask(t, waiting, reviewed)

	d.turn(t, "acme", 0, "")

	for _, id := range []uuid.UUID{waiting, reviewed} {
		require.Equal(t, 2, d.attempts(t, id))
		require.Equal(t, "waiting", d.state(t, id))
	}
}

func TestARetryTakesTheNewestStateAndNeverAnOlderOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	newer := d.letter(t, "acme", "1", true)
	d.set(func() { d.users["1"] = april })
	d.turn(t, "acme", 0, "")
	require.Equal(t, "retried", d.state(t, newer))
	require.Equal(t, time.April, d.wrote()[0].updated.Month())

	stale := d.letterFor(t, "acme", "1", d.version(t, "acme", "1", march), true)
	d.set(func() { d.users["1"] = march }) // as if VOMO answered from a replica that lags
	d.turn(t, "acme", 0, "")
	require.Equal(t, "superseded", d.state(t, stale))
	require.Len(t, d.wrote(), 1, "the newer version stands")
}

func TestAUserWhomVomoDoesNotFindIsNotDeletedAndEndsInReview(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	arrives := d.letter(t, "acme", "2", true)
	d.set(func() { delete(d.users, "1") })

	d.turn(t, "acme", 0, "")
	require.Equal(t, "waiting", d.state(t, id))
	require.Equal(t, "retried", d.state(t, arrives))
	require.Equal(t, "source_not_found retryable 2", value[string](t, d,
		`SELECT error_code || ' ' || error_class || ' ' || attempts FROM dead_letters WHERE record_id = '1'`))

	d.due(t)
	d.turn(t, "acme", 0, "")
	require.Equal(t, "review", d.state(t, id))
	require.Equal(t, 2, value[int](t, d, `SELECT jsonb_array_length(history) FROM dead_letters WHERE record_id = '1'`))
}

func TestALettersUserIsReadFromTheListIfVOMOGivesParticipationsAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	arrives, gone := d.letter(t, "acme", "1", true), d.letter(t, "acme", "2", true)
	d.set(func() {
		d.partial = true
		delete(d.users, "2")
	})

	d.turn(t, "acme", 0, "")

	require.Equal(t, "retried", d.state(t, arrives))
	require.Equal(t, "waiting", d.state(t, gone))
	require.Equal(t, "source_not_found", value[string](t, d, `SELECT error_code FROM dead_letters WHERE record_id = '2'`))
	require.Len(t, d.wrote(), 1)
}

func TestAnEntryWithoutAnIdGoesBackToReviewWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letterFor(t, "acme", "unreadable-c0ffee", store.Version{UpdatedAt: time.Unix(0, 0), Hash: []byte("no id")}, false)
	d.ask(t, id)

	d.turn(t, "acme", 0, "")

	require.Equal(t, "review", d.state(t, id))
	require.Equal(t, "source_record_invalid", value[string](t, d, `SELECT error_code FROM dead_letters`))
	require.Empty(t, d.asked)
}

func TestAUserWhomVomoCannotGiveHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	bad := d.letter(t, "acme", "1", true)
	good := d.letter(t, "acme", "2", true)
	d.set(func() {
		d.vomo = func(path string) int {
			if path == "/1" {
				return http.StatusForbidden
			}
			return 0
		}
	})
	d.turn(t, "acme", 0, "")
	require.Equal(t, "retried", d.state(t, good))
	require.Equal(t, 2, d.attempts(t, bad))
	require.Equal(t, "source_forbidden", value[string](t, d, `SELECT error_code FROM dead_letters WHERE record_id = '1'`))
}

func TestALaneThatIsTakenSpendsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	lease, err := d.store.TakeLease(t.Context(), "acme", "poller", claimTimeout)
	require.NoError(t, err)

	require.Equal(t, ended{hold: job.LaneTakenPause, reason: heldLaneTaken}, d.turn(t, "acme", 0, ""))

	require.Equal(t, 1, d.attempts(t, id))
	require.Empty(t, d.wrote())
	require.NoError(t, lease.Renew(t.Context()))
	require.True(t, lease.Wanted())
	require.NoError(t, lease.Release(t.Context()))
	d.turn(t, "acme", 0, "")
	require.Equal(t, "retried", d.state(t, id))
}

func TestADestinationThatIsDownSpendsNothingAndClearsWhenItIsBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	for i := range 6 {
		d.letter(t, "acme", strconv.Itoa(i), true)
	}
	d.crmSays(http.StatusServiceUnavailable, ``)

	first := d.turn(t, "acme", 0, "")
	require.Equal(t, ended{hold: 2 * time.Second, reason: "destination_down", counts: true}, first)
	d.advance(t, 2*time.Hour)
	for holds := 1; holds < 9; holds++ {
		again := d.turn(t, "acme", holds, "destination_down")
		require.Equal(t, min(2*time.Second<<holds, time.Minute), again.hold)
	}
	require.Equal(t, 6, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE state = 'waiting' AND attempts = 1`), "spends nothing, however long")
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM alerts WHERE type = 'destination_down' AND cleared_at IS NULL`))
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), "told once")

	d.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Eventually(t, func() bool {
		d.turn(t, "acme", 9, "destination_down")
		return value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`) == 6
	}, within, 50*time.Millisecond)
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM job_log WHERE completed_at IS NULL`))
}

func TestAVomoThatDoesNotAnswerSpendsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.set(func() { d.vomo = func(string) int { return http.StatusTooManyRequests } })
	throttled := d.turn(t, "acme", 0, "")
	require.Equal(t, "vomo_throttled", throttled.reason)
	require.Equal(t, 1, d.attempts(t, id))
	require.Equal(t, "waiting", d.state(t, id))
}

func TestATokenThatVomoRefusesTwiceSwitchesTheCustomerOff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.letter(t, "acme", "1", true)
	d.set(func() { d.vomo = func(string) int { return http.StatusUnauthorized } })

	require.Equal(t, ended{reason: "auth_failed"}, d.turn(t, "acme", 0, ""))

	require.Equal(t, 1, d.attempts(t, id))
	require.Equal(t, "auth_failed", value[string](t, d, `SELECT disabled_reason FROM sync_configs WHERE NOT enabled`))
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM alerts WHERE type = 'auth_failed'`))
	customers, err := d.store.LetterCustomers(t.Context())
	require.NoError(t, err)
	require.Empty(t, customers, "letters wait for a new token")
}
