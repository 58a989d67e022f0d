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

// ownPostgres is a server that a test may stop.
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

// By hand, in full: go test ./services/acceptance -run Restarted -seeds 20.
func TestABackfillOutlivesServersThatAreRestarted(t *testing.T) {
	t.Parallel()
	postgres := newOwnPostgres(t)
	settings := map[string]string{"CLAIM_TIMEOUT": claimTimeout.String()} // a lane that could not be given back is free after it
	maps.Copy(settings, fast)
	h := newHouseOn(t, postgres.url(), settings, testkit.WithSyncAlways())
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(10)
	for seed := range *seeds {
		chance := rand.New(rand.NewPCG(uint64(seed), 4))
		customer := fmt.Sprint("acme-", seed)
		h.organisation(customer, 900)
		h.onboard(customer)
		h.untilRead(customer, 50+chance.IntN(350))
		h.nats.Restart(t)
		h.untilRead(customer, 450+chance.IntN(350))
		postgres.restart(chance.IntN(2) == 0)
		h.untilRead(customer, 900)
		h.untilDone(customer)
		h.requireMirrored(customer, 900)
	}
}

func TestAnEmptyBrokerIsSetUpAgainAndEverythingGoesOnFromPostgres(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("half-read", 1500)
	h.organisation("whole", 40)
	services := []*testkit.Process{h.start(programOnboarding), h.start(programBackfill)}
	h.onboard("whole")
	h.untilDone("whole")
	h.slow(10)
	h.onboard("half-read")
	h.untilRead("half-read", 400)

	h.nats.Stop()
	require.NoError(t, os.RemoveAll(h.nats.StoreDir))
	h.nats.Restart(t)
	for _, service := range services {
		service.Stop() // it may have ended by itself: there is nothing to pull from any more
	}
	migrate := testkit.Program(t, programRollcall, testkit.ProgramConfig{Args: []string{"migrate"}, Env: h.env})
	require.Zero(t, migrate.Wait(), migrate.Output())
	h.start(programOnboarding)
	h.start(programBackfill)

	h.untilDone("half-read")
	h.requireMirrored("half-read", 1500)
	require.Equal(t, 2, h.count(`SELECT count(*) FROM backfill_runs`), "what was half read was not begun again")
	h.requireMirrored("whole", 40)
	h.organisation("new", 40)
	h.onboard("new") // sequences start again in a new stream, and are not mistaken for the old ones
	h.untilDone("new")
	h.requireMirrored("new", 40)
}

// untilRead waits until so many users of the customer were read; servers may be away meanwhile.
func (h *house) untilRead(customer string, users int) {
	h.t.Helper()
	h.untilRow(fmt.Sprintf("%s is read up to user %d", customer, users),
		`SELECT coalesce(max(processed), 0) >= $2 FROM backfill_runs WHERE customer_id = $1`, customer, users)
}

func (h *house) untilDone(customer string) {
	h.t.Helper()
	h.untilRow(customer+" is complete", `SELECT count(*) = 1 FROM backfill_runs WHERE customer_id = $1 AND state = 'completed'`, customer)
}

func (h *house) untilRow(what, query string, arguments ...any) {
	h.t.Helper()
	h.until(longest, what, func() bool {
		ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
		defer cancel()
		var holds bool
		return h.pool.QueryRow(ctx, query, arguments...).Scan(&holds) == nil && holds
	})
}
