package pages

import (
	"flag"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The full size, by hand: go test ./services/console/internal/pages -run '^$' -bench . -benched-customers 1000 -benched-users 1000.
var (
	benchedCustomers = flag.Int("benched-customers", 1000, "customers of the benchmarks")
	benchedUsers     = flag.Int("benched-users", 100, "mirrored users of each")
	openPages        = flag.Int("open-pages", 500, "how many live pages are open at once")
)

// many makes customers with mirrored users, one of ten with something wrong.
func (f *fixture) many() {
	f.t.Helper()
	f.exec(`INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at, backfill_completed_at,
		last_polled_at, caught_up_at)
		SELECT 'c' || i, 'https://crm.example/', '{"kind":"rest"}', true, '2026-01-01', '2026-01-01', '2026-02-01', '2026-03-02T09:29:00Z', '2026-03-02T09:28:55Z'
		FROM generate_series(1, $1::int) i`, *benchedCustomers)
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_updated_at, version_hash, last_synced_at)
		SELECT 'c' || i, u::text, 'x' || u, '2026-02-01', '\x00', '2026-02-01' FROM generate_series(1, $1::int) i, generate_series(1, $2::int) u`,
		*benchedCustomers, *benchedUsers)
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) SELECT 'c' || i, 'destination_down', 'medium',
		'2026-03-01' FROM generate_series(1, $1::int, 10) i`, *benchedCustomers)
	f.exec(`INSERT INTO job_log (customer_id, job, started_at, completed_at, outcome, processed_count, failure_count, trace_id)
		SELECT 'c' || i, 'user_sync_poll', t, t + interval '1 s', 'success', 3, 0, '' FROM generate_series(1, $1::int) i,
		generate_series(timestamptz '2026-03-01', '2026-03-02', interval '3 hours') t`, *benchedCustomers)
	f.exec(`VACUUM ANALYZE`) // as autovacuum does, after such a load
}

// benchmarkPage reports the median, which is what a person meets.
func benchmarkPage(b *testing.B, path func(i int) string, before func(f *fixture)) {
	b.Helper()
	f := newFixture(b)
	f.many()
	f.medianOf(b, func(i int) string {
		before(f)
		return path(i)
	})
}

// medianOf asks for pages and reports the median. The time that path takes is not counted.
func (f *fixture) medianOf(b *testing.B, path func(i int) string) {
	b.Helper()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		at := path(i)
		began := time.Now()
		status, _ := f.get(at)
		took = append(took, time.Since(began))
		require.Equal(b, http.StatusOK, status)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-median")
}

func BenchmarkCustomerPage(b *testing.B) {
	benchmarkPage(b, func(i int) string { return "/customers/c" + strconv.Itoa(1+i%*benchedCustomers) }, func(*fixture) {})
}

// BenchmarkCustomerList reads the board each time.
func BenchmarkCustomerList(b *testing.B) {
	benchmarkPage(b, func(int) string { return "/customers?state=all" }, func(f *fixture) {
		f.board.Forget()
	})
}

// BenchmarkOpenPages reports what open pages cost while nothing changes: an iteration is a second of all of them.
func BenchmarkOpenPages(b *testing.B) {
	f := newFixture(b)
	f.many()
	f.beat = time.Second
	streams := make([]*stream, 0, *openPages)
	for i := range *openPages {
		streams = append(streams, f.listen("/customers/c"+strconv.Itoa(1+i%*benchedCustomers)))
	}
	for _, one := range streams {
		one.until("customer-state", "")
	}
	began, before := time.Now(), cpuTime(b)
	for b.Loop() {
		streams[0].beat()
	}
	b.ReportMetric(100*(cpuTime(b)-before).Seconds()/time.Since(began).Seconds(), "%-of-a-core")
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys>>20), "MiB")
}

func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
