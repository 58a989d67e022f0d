package job_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

// lostKeys is a vault whose key service is away.
type lostKeys struct{ vault.KeyStore }

func (lostKeys) CustomerKey(context.Context, string) (store.SealedKey, error) {
	return store.SealedKey{}, fmt.Errorf("open key: %w", vault.ErrUnavailable)
}

const keeperAlerts = `SELECT customer_id || ' ' || count(*) FILTER (WHERE cleared_at IS NULL) || ' standing ' ||
	count(*) FILTER (WHERE cleared_at IS NOT NULL) || ' cleared'
	FROM alerts WHERE type = 'keeper_unavailable' GROUP BY customer_id`

func TestAKeyServiceThatIsAwayCostsNoAttemptAndRaisesOneAlert(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	keys := h.runner.Connect.Vault.Keys
	h.runner.Connect.Vault.Keys = lostKeys{keys}
	for number := range 15 {
		h.polled()
		require.Equal(t, fmt.Sprintf("parked keeper_unavailable pages 0 attempts 0 parks %d", number+1), h.run())
	}
	require.Equal(t, []string{"_installation 1 standing 0 cleared"}, values[string](h, keeperAlerts))
	require.Equal(t, []bool{true}, values[bool](h, `SELECT due_at <= rollcall_now() + interval '15 seconds' FROM sync_runs`))
	status, err := report.StatusOf(t.Context(), h.store, "acme")
	require.NoError(t, err)
	require.Equal(t, "keeper_unavailable", status.Health.Reasons[0].Code)
	require.Contains(t, status.Health.Reasons[0].Remedy, "key service")

	h.runner.Connect.Vault.Keys = keys
	h.polled()

	require.Equal(t, ids(3), h.mapped())
	require.Equal(t, []string{"_installation 0 standing 1 cleared"}, values[string](h, keeperAlerts))
}

func TestAPostgresThatIsAwayCostsNoAttempt(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]string{
		"and back before the lease ends": `parked`,
		"and back after it":              `running`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
			h.exec(`CREATE SEQUENCE tried`)
			// A page that is committed, and the first two ends of the work, meet a Postgres that shuts down.
			h.exec(`CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF new.pages > old.pages OR (new.attempts < old.attempts AND nextval('tried') <= 2) THEN
					RAISE EXCEPTION 'terminating' USING ERRCODE = '57P01';
				END IF; RETURN new; END $$`)
			h.exec(`CREATE TRIGGER away BEFORE UPDATE ON sync_runs FOR EACH ROW EXECUTE FUNCTION away()`)
			if until == "running" { // the first try to park finds that the lease has ended meanwhile
				h.world.set(func(w *world) {
					w.onPage = func(int) { h.exec(`UPDATE customer_leases SET expires_at = rollcall_now() - interval '1 minute'`) }
				})
			}

			err := h.poll()

			require.Equal(t, until+" "+map[string]string{"parked": "database_unavailable ", "running": ""}[until]+"pages 0 attempts 0 parks "+
				map[string]string{"parked": "1", "running": "0"}[until], h.run())
			if until == "running" {
				require.Error(t, err, "the message comes again")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, []int64{3}, values[int64](h, `SELECT last_value FROM tried`), "it was tried again until it was written")
			h.exec(`DROP TRIGGER away ON sync_runs`)
			h.world.set(func(w *world) { w.onPage = nil })
			h.polled()
			require.Equal(t, ids(3), h.mapped())
		})
	}
}

func TestAWorkerThatIsToldToStopDoesNotWaitForPostgres(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	h.exec(`CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF new.state <> 'running' OR new.pages > old.pages OR new.attempts < old.attempts THEN
			RAISE EXCEPTION 'terminating' USING ERRCODE = '57P01';
		END IF; RETURN new; END $$`)
	h.exec(`CREATE TRIGGER away BEFORE UPDATE ON sync_runs FOR EACH ROW EXECUTE FUNCTION away()`)
	ctx, stop := context.WithCancelCause(t.Context())
	h.world.set(func(w *world) { w.onPage = func(int) { stop(worker.ErrStopping) } })

	require.Error(t, h.runner.Work(ctx, &worker.Delivery{}, "acme", 0))
}

func TestTenPanicsEndARun(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.world.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	h.runner.Kind.OnPage = func(context.Context, *store.Tx, store.SyncRun, scan.Step, mirror.Outcome) error { panic("a defect") }
	for number := range 10 {
		require.Panics(t, func() { _ = h.poll() })
		require.Equal(t, fmt.Sprintf("running pages 0 attempts %d parks 0", number+1), h.run())
	}

	h.polled()

	require.Empty(t, h.run())
	require.Equal(t, []string{"user_sync_poll failed 0 0 too_many_attempts"}, h.jobs())
}
