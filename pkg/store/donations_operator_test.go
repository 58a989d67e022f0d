package store_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// visited is what an executed plan says of the rows that were read.
type visited struct {
	Rows    float64   `json:"Actual Rows"`
	Removed float64   `json:"Rows Removed by Filter"`
	Plans   []visited `json:"Plans"`
}

// most returns the highest number of rows that a step read.
func (v visited) most() float64 {
	most := v.Rows + v.Removed
	for _, below := range v.Plans {
		most = max(most, below.most())
	}
	return most
}

// The three are the oldest: a walk from the newest back would read all others first.
func TestListOfDonationsInARareStateReadsFewRows(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			submitted_at, confirmed_at, virtuous_gift_id, next_lookup_at, review_reason, created_at, status_at, updated_at)
		SELECT 'acme', 'don-' || n, status, 'AcmeGive', '\x00', '\x00', '\x00', at, at AS b, n, at AS d, 'match_needed', at AS e, at AS f, at AS g
		FROM generate_series(1, 100000) n, LATERAL (SELECT rollcall_now() AS at) c,
			LATERAL (SELECT CASE WHEN n <= 3 THEN 'failed' WHEN n <= 6 THEN 'needs_review' WHEN n <= 9 THEN 'closed' ELSE 'confirmed' END AS status) s`)
	f.exec(t, `ANALYZE virtuous_donation_queue`)
	f.exec(t, `SET plan_cache_mode = force_generic_plan`)
	for _, status := range []string{store.DonationFailed, store.DonationNeedsReview, store.DonationClosed, store.DonationConfirmed} {
		found, err := f.Donations(t.Context(), "acme", status, 1<<62, 20)
		require.NoError(t, err)
		require.Len(t, found, map[bool]int{true: 20, false: 3}[status == store.DonationConfirmed], status)
		f.exec(t, "PREPARE planned AS "+statements(t)["DonationsPageInState"], pgx.QueryExecModeSimpleProtocol)
		var explained []byte
		require.NoError(t, f.raw.QueryRow(t.Context(), fmt.Sprintf("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE planned('acme', '%s', %d, 20)", status, 1<<62),
			pgx.QueryExecModeSimpleProtocol).Scan(&explained))
		f.exec(t, "DEALLOCATE planned")
		var plans []struct{ Plan visited }
		require.NoError(t, json.Unmarshal(explained, &plans))
		require.LessOrEqual(t, plans[0].Plan.most(), float64(len(found)), status)
	}
}
