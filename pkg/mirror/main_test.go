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

// house is a customer's lane between a real Postgres and a real CRM.
type house struct {
	*mirror.Lane
	crm  *crm
	pool *pgxpool.Pool // looks at the tables past the store
}

type setting func(*destination.GuardConfig, *destination.BreakersConfig)

func newHouse(t testing.TB, settings ...setting) *house {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	h := &house{crm: newCRM(t), pool: pool}
	transport := rest.NewTransport(destination.PrivateAccess{All: true})
	t.Cleanup(transport.CloseIdleConnections)
	plain, err := rest.New(rest.Config{URL: h.crm.server.URL, Transport: transport})
	require.NoError(t, err)
	guard := destination.GuardConfig{Key: customer, Timer: atOnce}
	var limits destination.BreakersConfig
	for _, set := range settings {
		set(&guard, &limits)
	}
	breakers := destination.NewBreakers(limits)
	guard.Breakers = breakers
	lease, err := from.TakeLease(t.Context(), customer, "worker-1", leaseFor)
	require.NoError(t, err)
	h.Lane = &mirror.Lane{
		Store: from, Lease: lease, Customer: customer, Job: "initial_backfill", JobID: 7, TraceID: "00-trace-01",
		Operation: "backfill", Destination: destination.NewGuard(plain, guard), HashKey: []byte("the customer's hash key"),
		Trips: func() uint64 { return breakers.Trips(customer) }, Concurrency: 4,
	}
	return h
}

// atOnce leaps over the waits between attempts.
func atOnce(time.Duration) <-chan time.Time {
	now := make(chan time.Time, 1)
	now <- time.Time{}
	return now
}

// breakerShutsAtOnce lets the next request through an open breaker, as a park of two seconds would.
func breakerShutsAtOnce(_ *destination.GuardConfig, limits *destination.BreakersConfig) {
	limits.OpenFor = time.Nanosecond
}

// apply brings a page through the lane; its number is remembered as a cursor would be.
func (h *house) apply(t testing.TB, page vomo.Page, options mirror.ApplyOptions) (mirror.Outcome, error) {
	t.Helper()
	return h.Apply(t.Context(), page, options, func(ctx context.Context, tx *store.Tx, _ mirror.Outcome) error {
		return tx.AdvanceCheckpoint(ctx, customer, store.ResourceUserSync, cursorOf(page.Number))
	})
}

// applied is apply where nothing may go wrong.
func (h *house) applied(t testing.TB, users ...vomo.User) mirror.Outcome {
	t.Helper()
	outcome, err := h.apply(t, page(1, users...), mirror.ApplyOptions{})
	require.NoError(t, err)
	return outcome
}

func cursorOf(number int) time.Time { return time.Unix(int64(number), 0).UTC() }

func (h *house) requireCursor(t testing.TB, number int) {
	t.Helper()
	at, err := h.Store.Checkpoint(t.Context(), customer, store.ResourceUserSync)
	require.NoError(t, err)
	require.True(t, at.Equal(cursorOf(number)), "the cursor stands at %s", at)
}

// requireNothingCommitted is what must hold after a page that failed as a whole.
func (h *house) requireNothingCommitted(t testing.TB) {
	t.Helper()
	for _, table := range []string{"user_mappings", "sync_audit", "dead_letters", "outbox", "sync_checkpoints"} {
		require.Equal(t, []int64{0}, values[int64](t, h, "SELECT count(*) FROM "+table), table)
	}
}

// values is the one column of a query.
func values[T any](t testing.TB, h *house, query string, arguments ...any) []T {
	t.Helper()
	rows, err := h.pool.Query(context.Background(), query, arguments...)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return got
}

// letter is what the tests ask of a dead letter; "" stands for null.
type letter struct {
	Record, State, Class, Code, How string
	Wait                            float64 // seconds until the next attempt, 0 for none
	UpdatedAt                       time.Time
}

// letters are all of them, the settled too, in the order in which they were opened.
func (h *house) letters(t testing.TB) []letter {
	t.Helper()
	rows, err := h.pool.Query(t.Context(), `
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

// user is a user in the first version; change makes another one of it.
func user(id string, change ...func(*vomo.User)) vomo.User {
	u := vomo.User{
		ID: id, FirstName: new("First-" + id), LastName: new("Last"), Email: new("u" + id + "@example.org"),
		Phone: new("+44 20 7946 0000"), MembershipRole: new("member"), CreatedAt: noon.AddDate(-1, 0, 0), UpdatedAt: noon,
	}
	for _, apply := range change {
		apply(&u)
	}
	return u
}

// users are users 1 to n.
func users(n int) []vomo.User {
	list := make([]vomo.User, 0, n)
	for i := range n {
		list = append(list, user(strconv.Itoa(i+1)))
	}
	return list
}

func named(name string) func(*vomo.User) { return func(u *vomo.User) { u.FirstName = &name } }

func after(d time.Duration) func(*vomo.User) {
	return func(u *vomo.User) { u.UpdatedAt = u.UpdatedAt.Add(d) }
}
