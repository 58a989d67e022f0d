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
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/scan"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// checkpoint is where the customer's polls go on from.
var checkpoint = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// house is a runner of polls between a real Postgres, a VOMO and a CRM.
type house struct {
	t      *testing.T
	runner *job.Runner
	world  *world
	store  *store.Store
	pool   *pgxpool.Pool // looks at the tables past the store
}

func newHouse(t *testing.T) *house {
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
	h := &house{t: t, world: newWorld(t), store: from, pool: pool}
	sealer := &vault.Vault{Keeper: keeper, Keys: from}
	h.runner = &job.Runner{
		Store: from, Logger: zap.NewNop(), Holder: "worker-1", LeaseFor: time.Minute, Kind: pollKind(),
		Connect: &connector.Connector{
			Store: from, Vault: sealer, Logger: zap.NewNop(), VomoBaseURL: h.world.server.URL + "/v1", Timeout: 5 * time.Second,
			Limits: budget.Limits{PerSecond: 10000}, Concurrency: 4, Breakers: destination.NewBreakers(destination.BreakersConfig{}),
			RetryCaps: store.RetryCaps{Attempts: 12, Age: 24 * time.Hour},
			Opener: &destination.Opener{Factories: map[string]destination.Factory{
				"rest": rest.Factory(rest.Config{Transport: transport}, destination.PrivateAccess{All: true}),
			}},
		},
	}
	h.onboard(sealer, "acme")
	return h
}

// pollKind is a poll in short: its end moves the checkpoint to the scan's start.
func pollKind() job.Kind {
	return job.Kind{
		Name: store.KindPoll, Job: "user_sync_poll", Message: job.PollMessage,
		Start: func(ctx context.Context, tx *store.Tx, customer store.Customer) (store.RunRef, error) {
			refs, err := tx.StartSyncRuns(ctx, store.SyncStart{
				Kind: store.KindPoll, Job: "user_sync_poll", Customers: []string{customer.ID}, TraceIDs: []string{event.NewTraceID()},
			})
			if err != nil || len(refs) == 0 {
				return store.RunRef{}, err
			}
			return refs[0], nil
		},
		OnDone: func(ctx context.Context, tx *store.Tx, run store.SyncRun, _ scan.Step) error {
			if err := tx.AdvanceCheckpoint(ctx, run.Customer, store.ResourceUserSync, *run.ScanStartedAt); err != nil {
				return err
			}
			return tx.MarkPolled(ctx, run.Customer, *run.ScanStartedAt)
		},
	}
}

// onboard sets a customer up as it stands after its first backfill.
func (h *house) onboard(sealer *vault.Vault, customer string) {
	h.t.Helper()
	sealed, err := sealer.Seal(h.t.Context(), customer, store.CredentialVomoToken, []byte("t0ken"))
	require.NoError(h.t, err)
	h.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		VALUES ($1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), now(), now())`, customer, h.world.server.URL+"/crm")
	h.exec(`UPDATE sync_configs SET backfill_completed_at = onboarded_at, active_since = onboarded_at WHERE customer_id = $1`, customer)
	h.exec(`INSERT INTO credentials VALUES ($1, 'vomo_token', $2, now())`, customer, sealed)
	h.exec(`INSERT INTO sync_checkpoints VALUES ($1, 'user_sync', $2, now())`, customer, checkpoint)
}

// poll asks for a poll by hand and is what the worker would do with the message.
func (h *house) poll() error { return h.runner.Work(h.t.Context(), &worker.Delivery{}, "acme", 0) }

// polled is poll where nothing may go wrong.
func (h *house) polled() {
	h.t.Helper()
	require.NoError(h.t, h.poll())
}

func (h *house) exec(statement string, arguments ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), statement, arguments...)
	require.NoError(h.t, err)
}

// values is the one column of a query.
func values[T any](h *house, query string, arguments ...any) []T {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(), query, arguments...)
	require.NoError(h.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(h.t, err)
	return got
}

// run is where the open run stands, "" where there is none.
func (h *house) run() string {
	h.t.Helper()
	rows := values[string](h, `SELECT concat_ws(' ', state, park_reason, 'pages', pages, 'attempts', attempts, 'parks', parks) FROM sync_runs`)
	if len(rows) == 0 {
		return ""
	}
	require.Len(h.t, rows, 1)
	return rows[0]
}

func (h *house) checkpoint() time.Time {
	h.t.Helper()
	return values[time.Time](h, `SELECT checkpoint FROM sync_checkpoints WHERE customer_id = 'acme'`)[0].UTC()
}

// jobs are the closed lines of the job log.
func (h *house) jobs() []string {
	h.t.Helper()
	return values[string](h, `SELECT concat_ws(' ', job, outcome, processed_count, failure_count, error_code)
		FROM job_log WHERE completed_at IS NOT NULL ORDER BY id`)
}

func (h *house) mapped() []string {
	h.t.Helper()
	return values[string](h, `SELECT vomo_user_id FROM user_mappings ORDER BY vomo_user_id::int`)
}

// ids are "1" to n.
func ids(n int) []string {
	list := make([]string, 0, n)
	for i := range n {
		list = append(list, strconv.Itoa(i+1))
	}
	return list
}
