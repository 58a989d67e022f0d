package acceptance_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// By hand, in full and without -race: go test ./services/acceptance -run IdleCustomers -idle-customers 10000 -idle-minutes 60 -idle-rate 6.
var (
	idleCustomers = flag.Int("idle-customers", 300, "customers in whose organisations nothing happens")
	idleMinutes   = flag.Int("idle-minutes", 16, "simulated minutes")
	idleRate      = flag.Int("idle-rate", 8, "how much faster than ours the simulated clock goes")
)

// speedUpClock lets the database's clock run faster than ours from now on.
func (f *fixture) speedUpClock(rate int) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), fmt.Sprintf(`
		CREATE TABLE test_start AS SELECT now() AS at;
		CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at + (now() - at) * %d FROM test_start'`, rate))
	require.NoError(f.t, err)
}

// addPolledCustomers adds customers of one organisation in the state after their first backfill.
func (f *fixture) addPolledCustomers(n int, organisation string, cadenceMinutes int) {
	f.t.Helper()
	ctx := f.t.Context()
	from, err := store.Open(ctx, f.database, store.Options{})
	require.NoError(f.t, err)
	defer from.Close()
	keeper, err := vault.OpenKeeper(ctx, f.env["SECRETS_URL"])
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, keeper.Close()) }()
	sealer := &vault.Vault{Keeper: keeper, Keys: from}
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			return f.addPolledCustomer(grouped, sealer, fmt.Sprintf("idle-%05d", i), organisation, cadenceMinutes)
		})
	}
	require.NoError(f.t, group.Wait())
	_, err = f.pool.Exec(ctx, `UPDATE sync_configs SET backfill_completed_at = onboarded_at, active_since = onboarded_at`)
	require.NoError(f.t, err)
	_, err = f.pool.Exec(ctx, `VACUUM ANALYZE`)
	require.NoError(f.t, err)
}

func (f *fixture) addPolledCustomer(ctx context.Context, sealer *vault.Vault, customer, organisation string, cadenceMinutes int) error {
	sealed, err := sealer.Seal(ctx, customer, store.CredentialVomoToken, []byte(organisation+"-token"))
	if err != nil {
		return err
	}
	_, err = f.pool.Exec(ctx, `
		WITH config AS (
			INSERT INTO sync_configs (customer_id, external_system_url, destination, poll_cadence_minutes, onboarded_at, updated_at,
				next_reconcile_at)
			SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), $3, rollcall_now(), now(), now() + interval '1 year'
		), secret AS (
			INSERT INTO credentials SELECT $1, 'vomo_token', $4, rollcall_now()
		)
		INSERT INTO sync_checkpoints SELECT $1, 'user_sync', rollcall_now(), now()`,
		customer, f.sandbox+"/crm/"+customer, cadenceMinutes, sealed)
	return err
}

func TestIdleCustomersArePolledInTime(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": "10m", "LOG_LEVEL": "info"}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.organisation("idle", 30)
	f.addPolledCustomers(*idleCustomers, "idle", 15)
	dueFrom := func(at string) {
		_, err := f.pool.Exec(t.Context(), `UPDATE sync_configs SET next_poll_at = `+at)
		require.NoError(t, err)
	}
	dueFrom(`rollcall_now() + interval '1 year'`) // until the poller runs: its start is not what is measured
	poller := f.start(programPoller)
	f.speedUpClock(*idleRate)
	dueFrom(`next_poll_slot(customer_id, 15, rollcall_now())`)
	began, cpu := time.Now(), cpuSeconds(t, poller.PID())

	f.await(time.Duration(*idleMinutes+5)*time.Minute, "the simulated time is over", func() bool {
		return f.count(`SELECT (extract(epoch FROM rollcall_now() - at) / 60)::int FROM test_start`) >= *idleMinutes
	})

	took, spent := time.Since(began).Seconds(), cpuSeconds(t, poller.PID())-cpu
	polls := f.count(`SELECT count(*) FROM job_log WHERE completed_at IS NOT NULL`)
	// Percentiles of the delay between a poll's time in the cadence and its end.
	late := func(share float64) int {
		return f.count(`SELECT ceil(extract(epoch FROM percentile_cont($1::double precision) WITHIN GROUP (
			ORDER BY completed_at - (next_poll_slot(customer_id, 15, started_at) - interval '15 minutes'))))::int
			FROM job_log WHERE completed_at IS NOT NULL`, share)
	}
	worst, median := late(1), late(0.5)
	t.Logf("%d customers, %d polls in %d simulated minutes at %d times our pace (%.0f s): late by %d s at most, %d s in the middle; "+
		"poller: %.2f ms CPU a poll, %.0f %% of a core, peak %s", *idleCustomers, polls, *idleMinutes, *idleRate, took, worst, median,
		1000*spent/float64(polls), 100*spent/took, peakMemory(t, poller.PID()))
	require.Zero(t, f.count(`SELECT count(*) FROM job_log WHERE outcome = 'failed'`))
	require.Zero(t, f.count(`SELECT count(*) FROM sync_configs WHERE next_poll_at < rollcall_now() - interval '60 seconds'`), "every customer was polled")
	require.Zero(t, f.count(`SELECT count(*) FROM runs
		WHERE kind <> 'backfill' AND created_at < rollcall_now() - interval '60 seconds'`), "nor is under way for so long")
	require.LessOrEqual(t, worst, 60)
	require.GreaterOrEqual(t, polls, *idleCustomers*(*idleMinutes-1)/15)
}

// cpuSeconds returns the CPU time that a process has used.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	require.NoError(t, err)
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, err := strconv.ParseFloat(fields[11], 64)
	require.NoError(t, err)
	system, err := strconv.ParseFloat(fields[12], 64)
	require.NoError(t, err)
	const ticks = 100 // a second, on every Linux that Go runs on
	return (user + system) / ticks
}

// peakMemory returns the largest resident memory of a process.
func peakMemory(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return "not known"
}
