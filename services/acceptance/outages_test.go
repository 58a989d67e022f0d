package acceptance_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// ownPostgres is a server that the test may stop.
type ownPostgres struct {
	t       *testing.T
	dir     string
	running *localserver.Postgres
}

func newOwnPostgres(t *testing.T) *ownPostgres {
	t.Helper()
	p := &ownPostgres{t: t, dir: filepath.Join(t.TempDir(), "postgres")}
	p.start()
	t.Cleanup(func() { p.running.Stop() })
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	require.NoError(t, store.Migrate(ctx, p.url()))
	return p
}

func (p *ownPostgres) url() string { return p.running.URL("rollcall") }

func (p *ownPostgres) start() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), longest)
	defer cancel()
	running, err := localserver.StartPostgres(ctx, localserver.PostgresConfig{Dir: p.dir, Durable: true})
	require.NoError(p.t, err)
	p.running = running
}

// restart stops the server, or kills it, and starts it again.
func (p *ownPostgres) restart(crash bool) {
	p.t.Helper()
	if crash {
		require.NoError(p.t, syscall.Kill(p.running.PID(), syscall.SIGKILL))
		<-p.running.Done()
	}
	p.running.Stop()
	p.start()
}

// The full size, run by hand: go test ./services/acceptance -run Restarted -seeds 20.
func TestBackfillSurvivesServersThatAreRestarted(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": claimTimeout.String()} // a lane that could not be released is free after this time
	maps.Copy(settings, fast)
	f := newFixtureOn(t, postgres.url(), settings, testkit.WithSyncAlways())
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(10)
	for seed := range *seeds {
		chance := rand.New(rand.NewPCG(uint64(seed), 4))
		customer := fmt.Sprint("acme-", seed)
		f.organisation(customer, 900)
		f.onboard(customer)
		f.awaitRead(customer, 50+chance.IntN(350))
		f.nats.Restart(t)
		f.awaitRead(customer, 450+chance.IntN(350))
		postgres.restart(chance.IntN(2) == 0)
		f.awaitRead(customer, 900)
		f.awaitDone(customer)
		f.requireMirrored(customer, 900)
	}
}

func TestWorkContinuesFromPostgresAfterNATSLostItsStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("half-read", 1500)
	f.organisation("whole", 40)
	services := []*testkit.Process{f.start(programOnboarding), f.start(programBackfill)}
	f.onboard("whole")
	f.awaitDone("whole")
	f.slowDown(10)
	f.onboard("half-read")
	f.awaitRead("half-read", 400)

	f.nats.Stop()
	require.NoError(t, os.RemoveAll(f.nats.StoreDir))
	f.nats.Restart(t)
	for _, service := range services {
		service.Stop() // it may have ended already, because its consumer was deleted
	}
	migrate := testkit.Program(t, programRollcall, testkit.ProgramConfig{Args: []string{"migrate"}, Env: f.env})
	require.Zero(t, migrate.Wait(), migrate.Output())
	f.start(programOnboarding)
	f.start(programBackfill)

	f.awaitDone("half-read")
	f.requireMirrored("half-read", 1500)
	require.Equal(t, 2, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "what was half read was not begun again")
	f.requireMirrored("whole", 40)
	f.organisation("new", 40)
	f.onboard("new") // sequences start again in a new stream and must not be mistaken for the old ones
	f.awaitDone("new")
	f.requireMirrored("new", 40)
}

// awaitRead waits until that many users of the customer were read. Servers may be down meanwhile.
func (f *fixture) awaitRead(customer string, users int) {
	f.t.Helper()
	f.awaitRow(fmt.Sprintf("%s is read up to user %d", customer, users),
		`SELECT coalesce(max(processed), 0) >= $2 FROM all_runs WHERE kind = 'backfill' AND customer_id = $1`, customer, users)
}

func (f *fixture) awaitDone(customer string) {
	f.t.Helper()
	f.awaitRow(customer+" is complete", `SELECT count(*) = 1 FROM all_runs WHERE kind = 'backfill' AND customer_id = $1 AND state = 'completed'`, customer)
}

func (f *fixture) awaitRow(what, query string, arguments ...any) {
	f.t.Helper()
	f.await(longest, what, func() bool {
		ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
		defer cancel()
		var holds bool
		return f.pool.QueryRow(ctx, query, arguments...).Scan(&holds) == nil && holds
	})
}
