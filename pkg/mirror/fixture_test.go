package mirror_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vomo"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	customer = "acme"
	leaseFor = time.Minute
)

// noon is the time of the first version of every user.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fixture is a customer's lane with a real Postgres and an HTTP destination.
type fixture struct {
	*mirror.Lane
	crm  *crm
	pool *pgxpool.Pool // reads the tables directly
}

type option func(*destination.GuardConfig, *destination.BreakersConfig)

func newFixture(t testing.TB, options ...option) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	f := &fixture{crm: newCRM(t), pool: pool}
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	plain, err := rest.New(rest.Config{URL: f.crm.server.URL, Transport: transport})
	require.NoError(t, err)
	guard := destination.GuardConfig{Key: customer, Timer: noWait}
	var limits destination.BreakersConfig
	for _, set := range options {
		set(&guard, &limits)
	}
	breakers := destination.NewBreakers(limits)
	guard.Breakers = breakers
	lease, err := from.TakeLease(t.Context(), customer, "worker-1", leaseFor)
	require.NoError(t, err)
	f.Lane = &mirror.Lane{
		Store: from, Lease: lease, Customer: customer, Job: "initial_backfill", JobID: 7, TraceID: "00-trace-01",
		Operation: "backfill", Destination: destination.NewGuard(plain, guard), HashKey: []byte("the customer's hash key"),
		Trips: func() uint64 { return breakers.Trips(customer) }, Concurrency: 4,
	}
	return f
}

// noWait is a timer that skips the waits between attempts.
func noWait(time.Duration) <-chan time.Time {
	now := make(chan time.Time, 1)
	now <- time.Time{}
	return now
}

// breakerHalfOpensAtOnce lets the next request pass an open breaker, as after a park of two seconds.
func breakerHalfOpensAtOnce(_ *destination.GuardConfig, limits *destination.BreakersConfig) {
	limits.OpenFor = time.Nanosecond
}

// apply applies a page and commits its number in place of a cursor.
func (f *fixture) apply(t testing.TB, page vomo.Page, options mirror.ApplyOptions) (mirror.Outcome, error) {
	t.Helper()
	return f.Apply(t.Context(), page, options, func(ctx context.Context, tx *store.Tx, _ mirror.Outcome) error {
		return tx.AdvanceCheckpoint(ctx, customer, store.ResourceUserSync, cursorOf(page.Number))
	})
}

// mustApply applies users as one page and fails the test on an error.
func (f *fixture) mustApply(t testing.TB, users ...vomo.User) mirror.Outcome {
	t.Helper()
	outcome, err := f.apply(t, page(1, users...), mirror.ApplyOptions{})
	require.NoError(t, err)
	return outcome
}

func cursorOf(number int) time.Time { return time.Unix(int64(number), 0).UTC() }

func (f *fixture) requireCursor(t testing.TB, number int) {
	t.Helper()
	at, err := f.Store.Checkpoint(t.Context(), customer, store.ResourceUserSync)
	require.NoError(t, err)
	require.True(t, at.Equal(cursorOf(number)), "the cursor is %s", at)
}

// requireNothingCommitted checks that a failed page left no rows.
func (f *fixture) requireNothingCommitted(t testing.TB) {
	t.Helper()
	for _, table := range []string{"user_mappings", "sync_audit", "dead_letters", "outbox", "sync_checkpoints"} {
		require.Equal(t, []int64{0}, queryColumn[int64](t, f, "SELECT count(*) FROM "+table), table)
	}
}

// queryColumn returns the rows of a query with one column.
func queryColumn[T any](t testing.TB, f *fixture, query string, arguments ...any) []T {
	t.Helper()
	rows, err := f.pool.Query(context.Background(), query, arguments...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return got
}

// letter holds the columns of a dead letter that the tests compare; "" stands for null.
type letter struct {
	Record, State, Class, Code, How string
	Wait                            float64 // seconds until the next attempt, 0 for none
	UpdatedAt                       time.Time
}

// letters returns all letters, including settled ones, in the order in which they were opened.
func (f *fixture) letters(t testing.TB) []letter {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), `
		SELECT record_id AS record, state, error_class AS class, error_code AS code, coalesce(settled_how, '') AS how,
		       coalesce(extract(epoch FROM next_attempt_at - first_failed_at), 0)::float8 AS wait, source_updated_at AS updated_at
		FROM dead_letters ORDER BY first_failed_at, record_id`)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowToStructByName[letter])
	require.NoError(t, err)
	for i := range got {
		got[i].UpdatedAt = got[i].UpdatedAt.UTC()
	}
	return got
}

func page(number int, users ...vomo.User) vomo.Page {
	return vomo.Page{Number: number, Users: users, Total: -1}
}

// user returns a user in the first version, modified by the changes.
func user(id string, changes ...func(*vomo.User)) vomo.User {
	u := vomo.User{
		ID: id, FirstName: new("First-" + id), LastName: new("Last"), Email: new("u" + id + "@example.org"),
		Phone: new("+44 20 7946 0000"), MembershipRole: new("member"), CreatedAt: noon.AddDate(-1, 0, 0), UpdatedAt: noon,
	}
	for _, change := range changes {
		change(&u)
	}
	return u
}

// users returns users 1 to n.
func users(n int) []vomo.User {
	list := make([]vomo.User, 0, n)
	for i := range n {
		list = append(list, user(strconv.Itoa(i+1)))
	}
	return list
}

func withFirstName(name string) func(*vomo.User) { return func(u *vomo.User) { u.FirstName = &name } }

func updatedAfter(d time.Duration) func(*vomo.User) {
	return func(u *vomo.User) { u.UpdatedAt = u.UpdatedAt.Add(d) }
}

// withoutIDs returns the outcome without its ids and date.
func withoutIDs(outcome mirror.Outcome) mirror.Outcome {
	outcome.Seen, outcome.Unsynced, outcome.Date = nil, nil, time.Time{}
	return outcome
}
