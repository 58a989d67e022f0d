package mappingarchive

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const month = 30 * 24 * time.Hour

// fixture is an archiver with a database of its own, whose clock stands still until the test moves it.
type fixture struct {
	*Archiver

	t    *testing.T
	pool *pgxpool.Pool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	opened, err := store.Open(t.Context(), url, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+filepath.Join(t.TempDir(), "key"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f := &fixture{t: t, Archiver: &Archiver{
		Store: opened, Vault: &vault.Vault{Keeper: keeper, Keys: opened}, Logger: zap.NewNop(), Holder: "test", LeaseFor: time.Hour, After: month,
	}}
	f.pool, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.exec(`CREATE TABLE test_clock (at timestamptz NOT NULL)`)
	f.exec(`INSERT INTO test_clock VALUES ('2026-03-02 09:30:00Z')`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM test_clock'`)
	return f
}

func (f *fixture) exec(statement string, arguments ...any) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), statement, arguments...)
	require.NoError(f.t, err)
}

func values[T any](f *fixture, query string, arguments ...any) []T {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), query, arguments...)
	require.NoError(f.t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(f.t, err)
	return got
}

// customer adds a customer with this many mapped users, and a change of its settings.
func (f *fixture) customer(id string, users int, set string) {
	f.t.Helper()
	//nolint:dupword // columns of the same moment
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at, backfill_completed_at)
		SELECT $1, 'https://crm.example', '{"kind":"rest"}', at, at, at FROM test_clock`, id)
	f.exec(`UPDATE sync_configs SET `+set+` WHERE customer_id = $1`, id)
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at, last_synced_updated_at, version_hash,
			field_digests, sent_updated_at)
		SELECT $1, n::text, 'crm-' || n, CASE WHEN n % 3 > 0 THEN 'user' || n || '@example.org' END, rollcall_now() - n * interval '1 microsecond',
			rollcall_now() - n * interval '1 day', sha256(n::text::bytea), CASE WHEN n % 2 = 0 THEN sha256(n::text::bytea) END,
			CASE WHEN n % 5 = 0 THEN rollcall_now() END
		FROM generate_series(1, $2::int) n`, id, users)
}

func (f *fixture) advance(by time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE test_clock SET at = at + $1::interval`, by)
}

// digest is a digest of all columns of a customer's mappings.
func (f *fixture) digest(customer string) string {
	f.t.Helper()
	return values[string](f, `SELECT count(*) || ' ' || md5(coalesce(string_agg(m::text, ' ' ORDER BY vomo_user_id), ''))
		FROM user_mappings m WHERE customer_id = $1`, customer)[0]
}

func (f *fixture) mapped() []string {
	f.t.Helper()
	return values[string](f, `SELECT customer_id FROM user_mappings GROUP BY 1 ORDER BY 1`)
}

// restore restores as a job does: in the lane.
func (f *fixture) restore(customer string) int {
	f.t.Helper()
	lease, err := f.Store.TakeLease(f.t.Context(), customer, "job", time.Hour)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, lease.Release(f.t.Context())) }()
	users, err := Restore(f.t.Context(), f.Store, f.Vault, lease)
	require.NoError(f.t, err)
	return users
}

const paused = `paused_at = rollcall_now()`

func TestArchivedMappingsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 2500, paused)
	before := f.digest("acme")
	f.advance(month)
	require.NoError(t, f.Round(t.Context()))
	require.Equal(t, before, f.digest("acme"), "not a month yet")
	f.advance(time.Second)
	require.NoError(t, f.Round(t.Context()))
	require.Empty(t, f.mapped())
	require.Equal(t, []int{1000, 1000, 500}, values[int](f, `SELECT users FROM mapping_archives ORDER BY part`))
	mirrored, err := f.Store.CountMappings(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, int64(2500), mirrored, "an archived user is mirrored")
	t.Logf("an archived mapping takes %d bytes", values[int](f, `SELECT sum(length(sealed)) / 2500 FROM mapping_archives`)[0])
	require.Equal(t, []bool{false}, values[bool](f, `SELECT bool_or(position('example.org'::bytea IN sealed) > 0) FROM mapping_archives`))

	require.Equal(t, 2500, f.restore("acme"))
	require.Equal(t, before, f.digest("acme"))
	require.Empty(t, values[int](f, `SELECT users FROM mapping_archives`))
	require.Zero(t, f.restore("acme"))
}

func TestOnlyInactiveCustomersAreArchived(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("active", 1, `enabled = true`)
	f.customer("offboarded", 1, `enabled = false, offboarded_at = rollcall_now()`)
	f.customer("switched-off", 1, `enabled = false`)
	f.customer("paused", 1, paused)
	f.customer("polled", 1, paused+`, last_polled_at = rollcall_now() + interval '10 days'`)
	f.customer("held", 1, paused)
	lease, err := f.Store.TakeLease(t.Context(), "held", "job", 365*24*time.Hour)
	require.NoError(t, err)
	f.advance(month + time.Second)
	require.NoError(t, f.Round(t.Context()))
	require.Equal(t, []string{"active", "held", "offboarded", "polled"}, f.mapped())
	require.NoError(t, lease.Release(t.Context()))
	f.advance(10 * 24 * time.Hour)
	require.NoError(t, f.Round(t.Context()))
	require.Equal(t, []string{"active", "offboarded"}, f.mapped())
}

func TestEachMappingIsInOnePlaceAfterACrashBetweenTwoParts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 1500, paused)
	before := f.digest("acme")
	f.advance(month + time.Second)
	lease, err := f.Store.TakeLease(t.Context(), "acme", "test", time.Hour)
	require.NoError(t, err)
	died := errors.New("the process died here")
	_, err = f.archivePart(t.Context(), lease, func([]byte) ([]byte, error) { return nil, died })
	require.ErrorIs(t, err, died)
	require.Equal(t, before, f.digest("acme"))
	seal, err := f.Vault.Sealer(t.Context(), "acme", purpose)
	require.NoError(t, err)
	count, err := f.archivePart(t.Context(), lease, seal)
	require.NoError(t, err)
	require.Equal(t, 1000, count)
	require.NoError(t, lease.Release(t.Context())) // it died after the first part

	f.exec(`UPDATE sync_configs SET paused_at = NULL, updated_at = rollcall_now()`)
	require.NoError(t, f.Round(t.Context()), "the customer is active: the rest stays")
	require.Equal(t, []int{1000}, values[int](f, `SELECT users FROM mapping_archives`))
	require.Equal(t, 1000, f.restore("acme"))
	require.Equal(t, before, f.digest("acme"))
}

func TestCustomerWhoIsResumedMeanwhileIsNotArchived(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 10, paused)
	f.advance(month + time.Second)
	lease, err := f.Store.TakeLease(t.Context(), "acme", "test", time.Hour)
	require.NoError(t, err)
	f.exec(`UPDATE sync_configs SET paused_at = NULL, updated_at = rollcall_now()`)
	_, err = f.archivePart(t.Context(), lease, func(plain []byte) ([]byte, error) { return plain, nil })
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Equal(t, []string{"acme"}, f.mapped())
}

func TestWorkerThatLostTheLaneArchivesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 10, paused)
	f.advance(month + time.Second)
	lease, err := f.Store.TakeLease(t.Context(), "acme", "test", time.Minute)
	require.NoError(t, err)
	f.advance(2 * time.Minute)
	other, err := f.Store.TakeLease(t.Context(), "acme", "job", time.Hour)
	require.NoError(t, err)
	_, err = f.archivePart(t.Context(), lease, func(plain []byte) ([]byte, error) { return plain, nil })
	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Equal(t, []string{"acme"}, f.mapped())
	require.NoError(t, other.Release(t.Context()))
}

func TestColumnsThatWereAddedSinceGetTheirDefault(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 10, paused)
	f.advance(month + time.Second)
	require.NoError(t, f.Round(t.Context()))
	f.exec(`ALTER TABLE user_mappings ADD COLUMN later text NOT NULL DEFAULT 'none'`)
	require.Equal(t, 10, f.restore("acme"))
	require.Equal(t, []int{10}, values[int](f, `SELECT count(*) FROM user_mappings WHERE later = 'none' AND version_hash = sha256(vomo_user_id::bytea)`))

	f.advance(month + time.Second)
	require.NoError(t, f.Round(t.Context()))
	f.exec(`ALTER TABLE user_mappings DROP COLUMN later`)
	lease, err := f.Store.TakeLease(t.Context(), "acme", "job", time.Hour)
	require.NoError(t, err)
	_, err = Restore(t.Context(), f.Store, f.Vault, lease)
	require.ErrorContains(t, err, "the archive has a column that this version does not know")
	require.Equal(t, []int{10}, values[int](f, `SELECT users FROM mapping_archives`), "nothing is lost")
}

// An offboarding destroys what only the customer's key could open.
func TestOffboardedCustomerHasNoArchiveAndIsBackfilledOnReturn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.customer("acme", 10, paused)
	f.customer("globex", 10, `enabled = true`)
	f.advance(month + time.Second)
	require.NoError(t, f.Round(t.Context()))
	for _, customer := range []string{"acme", "globex"} {
		require.NoError(t, f.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.OffboardCustomer(ctx, customer)
			return err
		}))
	}
	require.Empty(t, values[int](f, `SELECT users FROM mapping_archives`))
	require.Equal(t, []string{"acme"}, values[string](f, `SELECT customer_id FROM sync_configs WHERE backfill_completed_at IS NULL`))
}
