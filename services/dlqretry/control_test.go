package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/job"
)

// alone has acme a letter that waits for a destination that was down, and one user by whom it can be tried.
func alone(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.user(t, "acme", "known", march)
	d.letter(t, "acme", "1", true)
	return d
}

func TestARefusalOfTheUserByWhomADestinationIsTriedIsConfirmed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		d := alone(t)
		d.set(func() {
			d.vomo = func(path string) int {
				if path == "/known" {
					return status
				}
				return 0
			}
		})

		d.turn(t, "acme", 0, "destination_down")

		require.True(t, value[bool](t, d, `SELECT enabled FROM sync_configs`), "the token is good: a second request was not refused")
		require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts`))
		require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
	}
}

func TestAUserWhomVomoCannotGiveIsNotWhatADestinationIsTriedBy(t *testing.T) {
	t.Parallel()
	d := alone(t)
	d.set(func() {
		d.vomo = func(path string) int {
			if path == "/known" {
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	})

	d.turn(t, "acme", 0, "destination_down")

	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))
}

func TestOneRecordThatNobodyCanWriteAnyMoreIsNoDestinationThatIsDown(t *testing.T) {
	t.Parallel()
	d := alone(t)
	d.user(t, "acme", "aged", march) // before the other in every order
	d.crmSays(http.StatusInternalServerError, "", "1", "aged")

	d.turn(t, "acme", 1, "destination_down")
	require.Equal(t, 1, value[int](t, d, `SELECT attempts FROM dead_letters`))
	require.Eventually(t, func() bool { // when the breaker lets a probe through
		d.turn(t, "acme", 2, "destination_down")
		return value[int](t, d, `SELECT attempts FROM dead_letters`) == 2
	}, within, 50*time.Millisecond, "it is tried by another one, too")
}

func TestLookingForAUserToTryADestinationByCostsAStepForEachWhoHasALetter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(t, `INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state,
			first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), 'acme', 'user', lpad(n::text, 6, '0'), 's', 'j', 'c', 'retryable', 'waiting', at, at + interval '0', at
		FROM generate_series(1, 10000) n, now() at`)
	d.exec(t, `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		SELECT 'acme', lpad(n::text, 6, '0'), 'crm', at, at + interval '0', 'hash' FROM generate_series(1, 10001) n, now() at`)
	for _, statistics := range []string{`SELECT 1`, `ANALYZE dead_letters, user_mappings`} {
		d.exec(t, statistics)
		began := time.Now()
		users, err := d.store.UndisputedUsers(t.Context(), "acme", "", controls)
		require.NoError(t, err)
		require.Equal(t, []string{"010001"}, users)
		t.Logf("one of 10,001 users has no letter: %s", time.Since(began))
		require.Less(t, time.Since(began), time.Second)
	}
}

func TestADestinationForWhichNothingWaitsAnyMoreIsAskedWhetherItWorksAgain(t *testing.T) {
	t.Parallel()
	d := alone(t)
	d.crmSays(http.StatusServiceUnavailable, ``)
	require.Equal(t, "destination_down", d.turn(t, "acme", 0, "").reason)
	idle := func() []string {
		customers, err := d.store.IdleWithAlert(t.Context(), job.DestinationAlerts())
		require.NoError(t, err)
		return idsOf(customers)
	}
	require.Equal(t, []string{"acme"}, idle())
	d.exec(t, `UPDATE dead_letters SET state = 'settled', settled_at = now(), settled_how = 'discarded', next_attempt_at = NULL`)

	d.retry.look(t.Context())
	next, ok := d.retry.queue.take()
	require.True(t, ok, "though no letter is due")
	require.Equal(t, "destination_down", d.turn(t, next.customer, 1, "destination_down").reason)
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))

	d.exec(t, `INSERT INTO sync_runs (customer_id, kind, job_id, trace_id, state, park_reason, updated_after, covered_until, due_at, created_at, updated_at)
		SELECT 'acme', 'poll', id, 't', 'parked', 'destination_down', at, started_at, at, started_at, at FROM job_log, now() at`)
	require.Empty(t, idle(), "the run finds out by itself")
	d.exec(t, `DELETE FROM sync_runs`)
	d.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	require.Empty(t, idle(), "a paused customer is left alone")
	d.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	lease, err := d.store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
	require.Empty(t, idle(), "whoever has the lane would yield it to nobody")
	require.NoError(t, lease.Release(t.Context()))
	require.Equal(t, []string{"acme"}, idle())

	d.crmSays(http.StatusOK, `{"id":"crm"}`)
	require.Equal(t, ended{}, d.turn(t, "acme", 2, "destination_down"))

	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
	require.Equal(t, 2, value[int](t, d, `SELECT count(*) FROM outbox WHERE subject LIKE 'rollcall.alerts.%'`), "told once, and that it is over")
	require.Empty(t, idle())
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM job_log WHERE completed_at IS NOT NULL`), "asking is no job")
}

func TestWhereTheFirstUsersAreGoneADestinationIsTriedByTheNext(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		d.user(t, "acme", id, march)
	}
	d.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'high', rollcall_now())`)
	d.set(func() {
		for _, id := range []string{"1", "2", "3"} {
			delete(d.users, id)
		}
	})

	require.Equal(t, ended{hold: 5 * time.Second, reason: heldNotTold, counts: true}, d.turn(t, "acme", 0, ""))
	require.Equal(t, ended{}, d.turn(t, "acme", 1, heldNotTold), "by the fourth")
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestARefusalIsNoProofThatADestinationWorksAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, id := range []string{"1", "2"} {
		d.user(t, "acme", id, march)
	}
	d.exec(t, `INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'destination_down', 'high', rollcall_now())`)
	d.crmSays(http.StatusNotFound, ``) // what a proxy says of everything while its backend is away

	require.Equal(t, heldNotTold, d.turn(t, "acme", 0, "").reason)
	require.Equal(t, time.Hour, d.turn(t, "acme", 20, heldNotTold).hold)
	require.Equal(t, 1, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))

	d.set(func() {
		d.crm = func(_, id string) (int, string) {
			if id == "2" {
				return http.StatusOK, `{"id":"crm"}`
			}
			return http.StatusUnprocessableEntity, ``
		}
	})
	require.Equal(t, ended{}, d.turn(t, "acme", 3, heldNotTold), "it took one of them")
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}
