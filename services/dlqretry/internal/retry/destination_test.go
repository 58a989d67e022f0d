package retry

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
)

// newProbeFixture has a letter of acme that waits, and one user to probe with.
func newProbeFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.user(t, "acme", "known", march)
	f.letter(t, "acme", "1", true)
	return f
}

func TestRejectedTokenOfProbeUserIsConfirmed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		f := newProbeFixture(t)
		f.set(func() {
			f.vomo = func(path string) int {
				if path == "/known" {
					return status
				}
				return 0
			}
		})

		f.round(t, "acme", 0, "destination_down")

		require.True(t, value[bool](t, f, `SELECT enabled FROM sync_configs`), "the token works: a second request was accepted")
		require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts`))
		require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
	}
}

func TestUserThatVomoDoesNotReturnIsNoProbeUser(t *testing.T) {
	t.Parallel()
	f := newProbeFixture(t)
	f.set(func() {
		f.vomo = func(path string) int {
			if path == "/known" {
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	f.round(t, "acme", 0, "destination_down")

	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
}

func TestProbeUserThatCannotBeWrittenIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	f := newProbeFixture(t)
	f.user(t, "acme", "aged", march) // before the other in every order
	f.crmSays(http.StatusInternalServerError, "", "1", "aged")

	f.round(t, "acme", 1, "destination_down")
	require.Equal(t, 1, value[int](t, f, `SELECT attempts FROM dead_letters`))
	require.Eventually(t, func() bool { // when the breaker lets a probe through
		f.round(t, "acme", 2, "destination_down")
		return value[int](t, f, `SELECT attempts FROM dead_letters`) == 2
	}, within, 50*time.Millisecond, "it is tried by another one, too")
}

func TestSearchForProbeUsersIsFastAmongManyLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), 'acme', 'user', lpad(n::text, 6, '0'), 's', 'j', 'c', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, 10000) n, now() at`)
	f.exec(t, `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		SELECT 'acme', lpad(n::text, 6, '0'), 'crm', at, at + interval '0', 'hash' FROM generate_series(1, 10001) n, now() at`)
	for _, statistics := range []string{`SELECT 1`, `ANALYZE dead_letters, user_mappings`} {
		f.exec(t, statistics)
		began := time.Now()
		users, err := f.store.UndisputedUsers(t.Context(), "acme", "", probeUsers)
		require.NoError(t, err)
		require.Equal(t, []string{"010001"}, users)
		t.Logf("one of 10,001 users has no letter: %s", time.Since(began))
		require.Less(t, time.Since(began), time.Second)
	}
}

func TestIdleDestinationWithAlertIsProbed(t *testing.T) {
	t.Parallel()
	f := newProbeFixture(t)
	f.crmSays(http.StatusServiceUnavailable, ``)
	require.Equal(t, "destination_down", f.round(t, "acme", 0, "").Reason)
	idle := func() []string {
		customers, err := f.store.IdleWithAlert(t.Context(), job.DestinationAlerts())
		require.NoError(t, err)
		return idsOf(customers)
	}
	require.Equal(t, []string{"acme"}, idle())
	f.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded', next_attempt_at = NULL`)

	found, err := f.retrier.look(t.Context())
	require.NoError(t, err)
	require.Len(t, found, 1, "though no letter is due")
	require.Equal(t, "destination_down", f.round(t, found[0].ID, 1, "destination_down").Reason)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))

	f.exec(t, `INSERT INTO runs (customer_id, kind, job_id, trace_id, state, park_reason, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT 'acme', 'poll', id, 't', 'parked', 'destination_down', at, started_at, at, started_at, at FROM job_log, now() at`)
	require.Empty(t, idle(), "the run finds out by itself")
	f.exec(t, `DELETE FROM runs WHERE kind <> 'backfill'`)
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	require.Empty(t, idle(), "a paused customer is left alone")
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	lease, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.Empty(t, idle(), "the job that has the lane would not yield it to a probe")
	require.NoError(t, lease.Release(t.Context()))
	require.Equal(t, []string{"acme"}, idle())

	f.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Equal(t, round.End{}, f.round(t, "acme", 2, "destination_down"))

	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), "raised once and cleared once")
	require.Empty(t, idle())
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM job_log WHERE completed_at IS NOT NULL`), "asking is no job")
}

func TestProbeTriesOtherUsersIfTheFirstAreGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		f.user(t, "acme", id, march)
	}
	f.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'high', rollcall_now())`)
	f.set(func() {
		for _, id := range []string{"1", "2", "3"} {
			delete(f.users, id)
		}
	})

	require.Equal(t, round.End{Hold: 5 * time.Second, Reason: heldProbeInconclusive, Counts: true}, f.round(t, "acme", 0, ""))
	require.Equal(t, round.End{}, f.round(t, "acme", 1, heldProbeInconclusive), "by the fourth")
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestRejectedProbeClearsNoAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"1", "2"} {
		f.user(t, "acme", id, march)
	}
	f.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'high', rollcall_now())`)
	f.crmSays(http.StatusNotFound, ``) // what a proxy says of everything while its backend is away

	require.Equal(t, heldProbeInconclusive, f.round(t, "acme", 0, "").Reason)
	require.Equal(t, time.Hour, f.round(t, "acme", 20, heldProbeInconclusive).Hold)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))

	f.set(func() {
		f.crm = func(_, id string) (int, string) {
			if id == "2" {
				return http.StatusOK, `{"id":"crm"}`
			}
			return http.StatusUnprocessableEntity, ``
		}
	})
	require.Equal(t, round.End{}, f.round(t, "acme", 3, heldProbeInconclusive), "it took one of them")
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}
