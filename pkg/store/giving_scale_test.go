package store_test

import (
	"encoding/json"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// donationsVariable says how many donations the larger customer of TestScaleOfReports has; the smaller one has a hundredth, and 1,000 at least. By default
// they are 10,000; a million are for a run by hand:
//
//	ROLLCALL_SCALE_DONATIONS=1000000 go test -run ScaleOfReports -v -timeout 60m rollcall.dev/pkg/store
const donationsVariable = "ROLLCALL_SCALE_DONATIONS"

// reportBound is for a million donations, on a machine that does nothing else.
const reportBound = 2 * time.Second

// spared is what the process may allocate beside a report that takes a second, such as for the checks of its connections.
const spared = 64 << 10

// TestScaleOfReports measures what the report's figures take: of donations of a year, and of as many that were all confirmed within the
// report's week.
func TestScaleOfReports(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	large, full := 10_000, false
	if wanted := os.Getenv(donationsVariable); wanted != "" {
		var err error
		large, err = strconv.Atoi(wanted)
		require.NoError(t, err)
		full = true
	}
	f := newFixture(t)
	fill := func(customer string, donations int, within time.Duration) {
		f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			next_attempt_at, submitted_at, next_lookup_at, confirmed_at, virtuous_gift_id, review_reason, recovery_path, created_at, status_at, updated_at)
			SELECT $1, 'don-' || n, status, 'AcmeGive', '\x00', '\x00', '\x00', CASE WHEN status = 'pending' THEN moment END,
				CASE WHEN status IN ('submitted', 'needs_review', 'confirmed') THEN moment - n % 40 * interval '1 hour' END,
				CASE WHEN status = 'needs_review' THEN moment END, CASE WHEN status = 'confirmed' THEN moment END, CASE WHEN status = 'confirmed' THEN n END,
				CASE WHEN status = 'needs_review' THEN 'match_needed' END, CASE WHEN n % 500 = 9 THEN 'reconciliation_lookup' END, moment, rollcall_now(), rollcall_now()
			FROM generate_series(1, $2::int) n, LATERAL (SELECT rollcall_now() - n * ($3::interval / $2::int) AS moment) a,
				LATERAL (SELECT CASE WHEN n % 1000 = 0 THEN 'pending' WHEN n % 1000 < 4 THEN 'submitted' WHEN n % 1000 = 4 THEN 'needs_review'
					WHEN n % 1000 = 5 THEN 'failed' ELSE 'confirmed' END AS status) s`, customer, donations, within)
		f.exec(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, sync_state, amount, content_hash, sealed, created_at, last_sync_at)
			SELECT $1, n, 'live', CASE WHEN n % 5000 = 0 THEN 'conflict' ELSE 'in_sync' END, 125, '\x00', '\x00', rollcall_now(), rollcall_now()
			FROM generate_series(1, $2::int) n`, customer, donations)
	}
	const year, week = 365 * 24 * time.Hour, 7 * 24 * time.Hour
	fill("small", max(large/100, 1000), year)
	fill("year", large, year)
	fill("week", large, week)
	f.exec(t, `VACUUM ANALYZE virtuous_donation_queue`)
	f.exec(t, `VACUUM ANALYZE partner_gifts`)

	measured := map[string]reportCost{}
	for _, customer := range []string{"small", "year", "week"} {
		measured[customer] = measureReport(t, f.Store, customer)
		t.Logf("%s: half of the reports within %s, all within %s; each allocates %d bytes", customer,
			measured[customer].half.Round(time.Microsecond), measured[customer].longest.Round(time.Microsecond), measured[customer].bytes)
		requireNoWholeRead(t, f, customer, week)
	}
	for _, customer := range []string{"year", "week"} {
		require.Less(t, measured[customer].bytes, measured["small"].bytes+spared, "the process's memory does not grow with the donations")
		if full {
			require.Less(t, measured[customer].longest, reportBound)
		}
	}
}

// reportCost is what the figures of one report take.
type reportCost struct {
	half, longest time.Duration
	bytes         uint64 // allocated by the process
}

func measureReport(t *testing.T, s *store.Store, customer string) reportCost {
	t.Helper()
	const times = 20
	took := make([]time.Duration, times)
	once := func() {
		figures, err := s.GivingFigures(t.Context(), customer, 24*time.Hour, 7*24*time.Hour)
		require.NoError(t, err)
		require.Positive(t, figures.Confirmed)
	}
	once() // the first has its statement prepared
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range took {
		began := time.Now()
		once()
		took[i] = time.Since(began)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	return reportCost{half: took[times/2], longest: took[times-1], bytes: (after.TotalAlloc - before.TotalAlloc) / times}
}

// requireNoWholeRead requires that the figures of a customer are read by indexes, also if Postgres plans by the customer.
func requireNoWholeRead(t *testing.T, f *fixture, customer string, within time.Duration) {
	t.Helper()
	var explained []byte
	require.NoError(t, f.raw.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+statements(t)["GivingFigures"], customer, 24*time.Hour, within).Scan(&explained))
	var plans []struct{ Plan plan }
	require.NoError(t, json.Unmarshal(explained, &plans))
	require.Empty(t, plans[0].Plan.readsWhole(regexp.MustCompile(`^(`+large+`)$`)), customer)
}
