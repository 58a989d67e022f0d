package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// growthVariable says how large a customer TestScaleOfGrowth measures, and how many audit lines it prunes. By default both are
// a hundredth of the full size, which is for a run by hand:
//
//	ROLLCALL_SCALE_MAPPINGS=1000000 go test -run ScaleOfGrowth -v -timeout 60m rollcall.dev/pkg/store
const growthVariable = "ROLLCALL_SCALE_MAPPINGS"

// Bounds at full size, on a machine that does nothing else.
const (
	// pageTimeRatio is of a page's time at the large size, to that at the small one. The users of these pages are anywhere in the
	// customer, so that nothing is in Postgres's memory; TestScaleOfPages of package mirror measures whole pages as VOMO lists users.
	// On a machine with other load it was up to 1.9.
	pageTimeRatio = 1.2
	pruningDelay  = 100 * time.Millisecond // of a page, by pruning
)

// TestScaleOfGrowth measures what a mapping takes on disk, and what a page takes at a small and at a large size, before and after
// pruning, and while audit lines are pruned.
func TestScaleOfGrowth(t *testing.T) {
	t.Parallel()
	large, pages, full := 10_000, 100, false
	if wanted := os.Getenv(growthVariable); wanted != "" {
		var err error
		large, err = strconv.Atoi(wanted)
		require.NoError(t, err)
		pages, full = 1000, true
	}
	small := max(large/100, 1000)
	g := newGrowth(t)
	g.measured = pages

	g.fill("globex", small)
	smallBytes := g.relationBytes("user_mappings") / int64(small)
	g.fill("acme", large)
	largeBytes := g.relationBytes("user_mappings") / int64(small+large)
	smallPage, largePage := g.alternately(small, large)
	t.Logf("%d mappings: %d bytes each; a page: half within %s, 99 %% within %s", small, smallBytes, smallPage.half, smallPage.most)
	t.Logf("%d mappings: %d bytes each; a page: half within %s, 99 %% within %s", large, largeBytes, largePage.half, largePage.most)
	t.Logf("a page at %d takes %.2f times of one at %d", large, smallPage.ratio(largePage), small)

	g.auditLines(large)
	before := g.pages(large)
	monthBytes := g.relationBytes("sync_audit")
	dropped := g.pagesWhile(large, func() { g.prune(t) })
	t.Logf("before pruning: %d audit lines of an old month take %d bytes each; a page: half within %s, 99 %% within %s",
		large, monthBytes/int64(large), before.half, before.most)
	t.Logf("the month dropped: %s", dropped.beside(before))
	g.defaultLines(large)
	require.Equal(t, large, value[int](t, g.fixture, `SELECT count(*) FROM sync_audit_default`))
	deleted := g.pagesWhile(large, func() { g.prune(t) })
	g.measured = max(pages, deleted.count) // as many as beside the deletion: the longest of many is longer
	alone := g.pages(large)
	t.Logf("as many lines of the default partition deleted in batches: %s", deleted.beside(alone))
	require.Zero(t, value[int](t, g.fixture, `SELECT count(*) FROM sync_audit_default`))
	g.measured = pages
	after := g.pages(large)
	t.Logf("after pruning: the audit takes %d bytes; a page: half within %s, 99 %% within %s", g.relationBytes("sync_audit"), after.half, after.most)
	if !full { // beside all other tests, only the order of magnitude says anything
		require.Less(t, smallPage.ratio(largePage), 30.0)
		return
	}
	require.Less(t, smallPage.ratio(largePage), pageTimeRatio)
	require.Less(t, dropped.longest-before.longest, pruningDelay)
	require.Less(t, deleted.longest-alone.longest, pruningDelay)
}

// growth is a customer that grows.
type growth struct {
	*fixture

	t        *testing.T
	leases   map[string]*store.Lease
	round    int64
	measured int // how many pages are measured each time
}

func newGrowth(t *testing.T) *growth {
	t.Helper()
	f := newFixture(t)
	leases := map[string]*store.Lease{"acme": f.lease(t, "acme"), "globex": f.lease(t, "globex")}
	require.NoError(t, f.EnsureAuditMonths(t.Context()))
	return &growth{fixture: f, t: t, leases: leases, round: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).Unix()}
}

// fill adds mappings as a backfill leaves them: with an address, a hash of 32 bytes and a digest of each field.
func (g *growth) fill(customer string, users int) {
	g.t.Helper()
	g.exec(g.t, `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at, last_synced_updated_at,
			version_hash, field_digests)
		SELECT $1, (1000000 + n)::text, 'crm-' || 5000000 + n, 'first.last' || n || '@example.org', rollcall_now(),
			'2026-01-01'::timestamptz + n * interval '1 second', sha256(n::text::bytea), substring(sha256(n::text::bytea) FROM 1 FOR 29)
		FROM generate_series(1, $2::int) n`, customer, users)
	g.exec(g.t, `VACUUM ANALYZE user_mappings`)
}

func (g *growth) relationBytes(table string) int64 {
	g.t.Helper()
	sizes, err := g.TableSizes(g.t.Context(), []string{table})
	require.NoError(g.t, err)
	return sizes[table]
}

// pageTimes are the times of many pages.
type pageTimes struct {
	half, most, longest time.Duration
	count               int
}

func (p pageTimes) ratio(other pageTimes) float64 { return float64(other.half) / float64(p.half) }

func (p pageTimes) beside(alone pageTimes) string {
	return fmt.Sprintf("%d pages, half within %s, 99 %% within %s, all within %s; alone %s, %s, %s",
		p.count, p.half, p.most, p.longest, alone.half, alone.most, alone.longest)
}

func timesOf(took []time.Duration) pageTimes {
	slices.Sort(took)
	round := func(at int) time.Duration { return took[at].Round(10 * time.Microsecond) }
	return pageTimes{half: round(len(took) / 2), most: round(len(took) * 99 / 100), longest: round(len(took) - 1), count: len(took)}
}

// unmeasured are the first pages of a measurement, which have their statements prepared.
const unmeasured = 20

// pages measures pages of 15 users each, somewhere in the customer: the lookup, and the transaction with mappings and audit.
func (g *growth) pages(users int) pageTimes {
	g.t.Helper()
	var took []time.Duration
	for n := range g.measured + unmeasured {
		began := time.Now()
		require.NoError(g.t, g.page(g.t.Context(), "acme", users))
		if n >= unmeasured {
			took = append(took, time.Since(began))
		}
	}
	return timesOf(took)
}

// alternately measures pages of a small and of a large customer in turn, so that the machine's other work delays both alike.
func (g *growth) alternately(small, large int) (smallPage, largePage pageTimes) {
	g.t.Helper()
	var ofSmall, ofLarge []time.Duration
	for n := range g.measured + unmeasured {
		began := time.Now()
		require.NoError(g.t, g.page(g.t.Context(), "globex", small))
		between := time.Now()
		require.NoError(g.t, g.page(g.t.Context(), "acme", large))
		if n >= unmeasured {
			ofSmall, ofLarge = append(ofSmall, between.Sub(began)), append(ofLarge, time.Since(between))
		}
	}
	return timesOf(ofSmall), timesOf(ofLarge)
}

func (g *growth) page(ctx context.Context, customer string, users int) error {
	g.round++
	at := time.Unix(g.round, 0).UTC()
	ids := make([]string, 0, 15)
	var mappings []store.Mapping
	var entries []store.AuditEntry
	for range 15 {
		n := 1 + rand.IntN(users)
		id := strconv.Itoa(1_000_000 + n)
		if slices.Contains(ids, id) {
			continue
		}
		ids = append(ids, id)
		mappings = append(mappings, store.Mapping{
			VomoID: id, ExternalID: "crm-" + strconv.Itoa(5_000_000+n), Email: fmt.Sprintf("first.last%d@example.org", n),
			Version: store.Version{UpdatedAt: at, Hash: slices.Repeat([]byte{byte(g.round)}, 32)}, Digests: slices.Repeat([]byte{byte(g.round)}, 29),
		})
		entries = append(entries, store.AuditEntry{RecordID: id, Operation: "update", UpdatedAt: at})
	}
	known, err := g.StoredVersions(ctx, store.VersionsAsked{Customer: customer, Letters: "user", IDs: ids})
	if err != nil || len(known.Mappings) != len(ids) {
		return fmt.Errorf("%d of %d users are known: %w", len(known.Mappings), len(ids), err)
	}
	return g.InLane(ctx, g.leases[customer], func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SaveMappings(ctx, customer, mappings); err != nil {
			return err
		}
		return tx.SaveAudit(ctx, store.AuditScope{Customer: customer, JobID: 7, TraceID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, entries)
	})
}

// pagesWhile measures pages until the work is done.
func (g *growth) pagesWhile(users int, work func()) pageTimes {
	g.t.Helper()
	done := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		defer close(done)
		work()
	})
	var took []time.Duration
	for running := true; running || len(took) == 0; {
		began := time.Now()
		require.NoError(g.t, g.page(g.t.Context(), "acme", users))
		took = append(took, time.Since(began))
		select {
		case <-done:
			running = false
		default:
		}
	}
	working.Wait()
	return timesOf(took)
}

// auditLines adds lines of this month, and goes on to a time when they are old enough.
func (g *growth) auditLines(lines int) {
	g.t.Helper()
	g.insertAudit("rollcall_now()", lines)
	g.advance(g.t, 500*day)
	require.NoError(g.t, g.EnsureAuditMonths(g.t.Context()))
	g.exec(g.t, `UPDATE customer_leases SET expires_at = rollcall_now() + interval '1000 days'`)
}

// defaultLines adds old lines of a month that has no partition.
func (g *growth) defaultLines(lines int) {
	g.insertAudit("rollcall_now() - interval '600 days'", lines)
}

func (g *growth) insertAudit(at string, lines int) {
	g.t.Helper()
	g.exec(g.t, `INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, job_id, trace_id, succeeded, source_updated_at, processed_at)
		SELECT 'acme', 'user', (1000000 + n)::text, 'update', 7, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true, `+at+`, `+at+`
		FROM generate_series(1, $1::int) n`, lines)
}

// prune forgets the audit lines that are older than 400 days. A month whose lock was not to be had is tried again, as a later round
// does.
func (g *growth) prune(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for {
		more, err := g.ForgetAudit(ctx, 400*day)
		if err != nil {
			t.Errorf("prune: %v", err)
			return
		}
		if more {
			continue
		}
		left, err := g.oldAuditLines(ctx)
		if err != nil {
			t.Errorf("prune: %v", err)
		}
		if err != nil || !left {
			return
		}
	}
}

// oldAuditLines reports whether a line is left that prune has to forget.
func (g *growth) oldAuditLines(ctx context.Context) (left bool, err error) {
	conn, err := pgx.Connect(ctx, g.url)
	if err != nil {
		return false, err
	}
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM sync_audit WHERE processed_at < rollcall_now() - interval '431 days')`).Scan(&left)
	return left, errors.Join(err, conn.Close(ctx))
}
