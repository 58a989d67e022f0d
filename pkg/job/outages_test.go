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

func TestUnavailableKeyServiceCountsNoAttemptAndRaisesOneAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	keys := f.runner.Connect.Vault.Keys
	f.runner.Connect.Vault.Keys = lostKeys{keys}
	f.exec(`UPDATE customer_keys SET customer_id = 'kept'`) // one that is read with the claim is not asked for
	for number := range 15 {
		f.polled()
		require.Equal(t, fmt.Sprintf("parked keeper_unavailable pages 0 attempts 0 parks %d", number+1), f.run())
	}
	require.Equal(t, []string{"_installation 1 standing 0 cleared"}, values[string](f, keeperAlerts))
	require.Equal(t, []bool{true}, values[bool](f, `SELECT due_at <= rollcall_now() + interval '15 seconds' FROM runs`))
	status, err := report.StatusOf(t.Context(), f.store, "acme")
	require.NoError(t, err)
	require.Equal(t, "keeper_unavailable", status.Health.Reasons[0].Code)
	require.Contains(t, status.Health.Reasons[0].Remedy, "key service")

	f.runner.Connect.Vault.Keys = keys
	f.exec(`UPDATE customer_keys SET customer_id = 'acme'`)
	f.polled()

	require.Equal(t, ids(3), f.mapped())
	require.Equal(t, []string{"_installation 0 standing 1 cleared"}, values[string](f, keeperAlerts))
}

func TestUnavailablePostgresCountsNoAttempt(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]string{
		"and back before the lease ends": `parked`,
		"and back after it":              `running`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
			f.exec(`CREATE SEQUENCE tried`)
			// A page that is committed, and the first two ends of the work, meet a Postgres that shuts down.
			f.exec(`CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF TG_OP = 'DELETE' OR new.pages > old.pages OR (new.attempts < old.attempts AND nextval('tried') <= 2) THEN
					RAISE EXCEPTION 'terminating' USING ERRCODE = '57P01';
				END IF; RETURN new; END $$`)
			f.exec(`CREATE TRIGGER away BEFORE UPDATE OR DELETE ON runs FOR EACH ROW EXECUTE FUNCTION away()`)
			if until == "running" { // the first try to park finds that the lease has ended meanwhile
				f.sides.set(func(w *sides) {
					w.onPage = func(int) { f.exec(`UPDATE customer_leases SET expires_at = rollcall_now() - interval '1 minute'`) }
				})
			}

			err := f.poll()

			require.Equal(t, until+" "+map[string]string{"parked": "database_unavailable ", "running": ""}[until]+"pages 0 attempts 0 parks "+
				map[string]string{"parked": "1", "running": "0"}[until], f.run())
			if until == "running" {
				require.Error(t, err, "the message comes again")
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, []int64{3}, values[int64](f, `SELECT last_value FROM tried`), "it was tried again until it was written")
			f.exec(`DROP TRIGGER away ON runs`)
			f.sides.set(func(w *sides) { w.onPage = nil })
			f.polled()
			require.Equal(t, ids(3), f.mapped())
		})
	}
}

func TestStoppingWorkerDoesNotWaitForPostgres(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	f.exec(`CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF TG_OP = 'DELETE' OR new.state <> 'running' OR new.pages > old.pages OR new.attempts < old.attempts THEN
			RAISE EXCEPTION 'terminating' USING ERRCODE = '57P01';
		END IF; RETURN new; END $$`)
	f.exec(`CREATE TRIGGER away BEFORE UPDATE OR DELETE ON runs FOR EACH ROW EXECUTE FUNCTION away()`)
	ctx, stop := context.WithCancelCause(t.Context())
	f.sides.set(func(w *sides) { w.onPage = func(int) { stop(worker.ErrStopping) } })

	require.Error(t, f.runner.Work(ctx, &worker.Delivery{}, "acme", 0))
}

func TestRunIsGivenUpAfterTenPanics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.sides.change(checkpoint.Add(time.Minute), "x", ids(3)...)
	defective := pollScan()
	defective.OnPage = func(context.Context, *store.Tx, store.Run, scan.Step, mirror.Outcome) error { panic("a defect") }
	f.runner.Kind.Work = defective.Work
	for number := range 10 {
		require.ErrorContains(t, f.poll(), "a defect")
		require.Equal(t, fmt.Sprintf("running pages 0 attempts %d parks 0", number+1), f.run())
	}

	f.polled()

	require.Empty(t, f.run())
	require.Equal(t, []string{"user_sync_poll failed 0 0 too_many_attempts"}, f.jobs())
}
