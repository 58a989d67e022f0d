package job_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// checkpoint is where the customer's next poll starts.
var checkpoint = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fixture is a runner of polls between a real Postgres, a VOMO and a CRM.
type fixture struct {
	t      *testing.T
	runner *job.Runner
	sides  *sides
	store  *store.Store
	pool   *pgxpool.Pool // looks at the tables past the store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 6})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	f := &fixture{t: t, sides: newSides(t), store: from, pool: pool}
	sealer := &vault.Vault{Keeper: keeper, Keys: from}
	f.runner = &job.Runner{
		Store: from, Logger: zap.NewNop(), Holder: "worker-1", LeaseFor: time.Minute, Kind: pollKind(),
		Connect: &connector.Connector{
			Store: from, Vault: sealer, Logger: zap.NewNop(), VomoBaseURL: f.sides.server.URL + "/v1", Timeout: 5 * time.Second,
			Limits: budget.Limits{PerSecond: 10000}, Concurrency: 4, Breakers: destination.NewBreakers(destination.BreakersConfig{}),
			RetryCaps: store.RetryCaps{Attempts: 12, Age: 24 * time.Hour},
			Opener: &destination.Opener{Factories: map[string]destination.Factory{
				"rest": rest.Factory(rest.Config{Transport: transport}, destination.PrivateAccess{All: true}),
			}},
		},
	}
	f.onboard(sealer, "acme")
	return f
}

// pollKind is a short poll: its end moves the checkpoint to the scan's start.
func pollKind() job.Kind {
	return job.Kind{
		Name: store.KindPoll, Job: job.Always("user_sync_poll"), Serves: store.Customer.Steady, Routine: true, AsksFirst: true, Message: job.PollMessage,
		Start: func(ctx context.Context, tx *store.Tx, customer store.Customer) error {
			_, err := tx.StartRuns(ctx, store.RunStart{
				Kind: store.KindPoll, Job: "user_sync_poll", Customers: []string{customer.ID}, TraceIDs: []string{telemetry.TraceParent(ctx)},
			})
			return err
		},
		Work: pollScan().Work,
	}
}

func pollScan() job.Scan {
	return job.Scan{
		OnDone: func(ctx context.Context, tx *store.Tx, run store.Run, _ scan.Step) error {
			if err := tx.AdvanceCheckpoint(ctx, run.Customer, store.ResourceUserSync, *run.ScanStartedAt); err != nil {
				return err
			}
			return tx.MarkPolled(ctx, run.Customer, *run.ScanStartedAt)
		},
	}
}

// onboard adds a customer that has completed its first backfill.
func (f *fixture) onboard(sealer *vault.Vault, customer string) {
	f.t.Helper()
	sealed, err := sealer.Seal(f.t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(f.t, err)
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ($1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), now(), now())`, customer, f.sides.server.URL+"/crm")
	f.exec(`UPDATE sync_configs SET backfill_completed_at = onboarded_at, active_since = onboarded_at WHERE customer_id = $1`, customer)
	f.exec(`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
	f.exec(`INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', $2, now())`, customer, checkpoint)
}

// poll does what a worker does with a request for a poll that was published by hand.
func (f *fixture) poll() error { return f.runner.Work(f.t.Context(), &worker.Delivery{}, "acme", 0) }

// polled is poll, which must succeed.
func (f *fixture) polled() {
	f.t.Helper()
	require.NoError(f.t, f.poll())
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

// values returns the one column of a query.
func values[T any](f *fixture, query string, arguments ...any) []T {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), query, arguments...)
	require.NoError(f.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(f.t, err)
	return got
}

// run returns the state of the open run; "" if there is none.
func (f *fixture) run() string {
	f.t.Helper()
	rows := values[string](f, `SELECT concat_ws(' ', state, park_reason, 'pages', pages, 'attempts', attempts, 'parks', parks) FROM runs`)
	if len(rows) == 0 {
		return ""
	}
	require.Len(f.t, rows, 1)
	return rows[0]
}

func (f *fixture) checkpoint() time.Time {
	f.t.Helper()
	return values[time.Time](f, `SELECT checkpoint FROM sync_checkpoints WHERE customer_id = 'acme'`)[0].UTC()
}

// jobs returns the ended lines of the job log.
func (f *fixture) jobs() []string {
	f.t.Helper()
	return values[string](f, `SELECT concat_ws(' ', job, outcome, processed_count, failure_count, error_code)
		FROM job_log WHERE completed_at IS NOT NULL ORDER BY id`)
}

func (f *fixture) mapped() []string {
	f.t.Helper()
	return values[string](f, `SELECT vomo_user_id FROM user_mappings ORDER BY vomo_user_id::int`)
}

// ids are "1" to n.
func ids(n int) []string {
	list := make([]string, 0, n)
	for i := range n {
		list = append(list, strconv.Itoa(i+1))
	}
	return list
}
