package mirror_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
)

// growthVariable says how large the large customer of TestScaleOfPages is. The full size is for a run by hand:
//
//	ROLLCALL_SCALE_MAPPINGS=1000000 go test -run ScaleOfPages -v -timeout 60m rollcall.dev/pkg/mirror
const growthVariable = "ROLLCALL_SCALE_MAPPINGS"

// TestScaleOfPages applies pages of changed users to a small and to a large customer in turn: 15 requests and one transaction each. The
// users of a page were added one after the other, as on the pages of VOMO's list.
func TestScaleOfPages(t *testing.T) {
	t.Parallel()
	size, pages, full := 5_000, 20, false
	if wanted := os.Getenv(growthVariable); wanted != "" {
		var err error
		size, err = strconv.Atoi(wanted)
		require.NoError(t, err)
		pages, full = 500, true
	}
	sizes := []int{size / 100, size}
	took := make([][]time.Duration, len(sizes))
	fixtures := make([]*fixture, len(sizes))
	for i, users := range sizes {
		fixtures[i] = newFixture(t)
		_, err := fixtures[i].pool.Exec(t.Context(), `INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_at,
				last_synced_updated_at, version_hash, field_digests)
			SELECT $1, n::text, 'crm-' || n, 'first.last' || n || '@example.org', now(), '2026-01-01', sha256(n::text::bytea),
				substring(sha256(n::text::bytea) FROM 1 FOR 29) FROM generate_series(1, $2::int) n`, customer, users)
		require.NoError(t, err)
		_, err = fixtures[i].pool.Exec(t.Context(), `VACUUM ANALYZE user_mappings`)
		require.NoError(t, err)
	}
	for n := range pages {
		for i, f := range fixtures {
			list := users(pageSize)
			first := 1 + rand.IntN(sizes[i]-pageSize)
			for j := range list {
				id := strconv.Itoa(first + j)
				list[j].ID, list[j].UpdatedAt, list[j].Email = id, noon.Add(time.Duration(n)*time.Second), new("first.last"+id+"@example.org")
			}
			began := time.Now()
			outcome, err := f.Apply(t.Context(), page(1, list...), mirror.ApplyOptions{}, noCommitHook)
			took[i] = append(took[i], time.Since(began))
			require.NoError(t, err)
			require.Equal(t, pageSize, outcome.Written)
		}
	}
	for i := range took {
		slices.Sort(took[i])
		t.Logf("%d mappings: a page, half within %s, 99 %% within %s", sizes[i], took[i][pages/2].Round(10*time.Microsecond),
			took[i][pages*99/100].Round(10*time.Microsecond))
	}
	ratio := float64(took[1][pages/2]) / float64(took[0][pages/2])
	t.Logf("a page at %d takes %.2f times of one at %d", sizes[1], ratio, sizes[0])
	if full { // beside all other tests it says nothing
		require.Less(t, ratio, 1.2)
	}
}
