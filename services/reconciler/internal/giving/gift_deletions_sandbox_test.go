package giving

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/services/reconciler/internal/deletion"
)

var (
	deletionSeeds = flag.Int("deletion-seeds", 3, "seeds of TestOnlyDeletedGiftsAreMarkedWhateverVirtuousAnswers")
	deletionGifts = flag.Int("deletion-gifts", 250, "gifts of TestOnlyDeletedGiftsAreMarkedWhateverVirtuousAnswers")
)

// deletedGifts is how many of them Virtuous deletes.
const deletedGifts = 40

// addGifts has staff enter gifts, which the customer then knows, and returns their ids.
func (s *sandbox) addGifts(count int) []int64 {
	s.t.Helper()
	s.control(http.MethodPost, "/gifts", fmt.Sprintf(`{"count":%d}`, count))
	s.reconcile(s.t, "acme", bus.CategoryMissedWebhook)
	known := column[int64](s.t, s.fixture, `SELECT virtuous_gift_id FROM partner_gifts ORDER BY 1`)
	require.Len(s.t, known, count)
	s.advance(s.t, time.Hour)
	return known
}

// fault adds a fault of the sandbox, or ends all of them for "".
func (s *sandbox) fault(rule string) {
	s.t.Helper()
	method := http.MethodPost
	if rule == "" {
		method = http.MethodDelete
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.address+"/control/faults", strings.NewReader(rule))
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	require.Less(s.t, response.StatusCode, 300)
}

// deleteGifts has staff delete some of the gifts, of which no webhook tells.
func (s *sandbox) deleteGifts(known []int64, count int, by *rand.Rand) (deleted []int64) {
	s.t.Helper()
	for _, at := range by.Perm(len(known))[:count] {
		deleted = append(deleted, known[at])
		s.deleteGift(known[at])
	}
	slices.Sort(deleted)
	return deleted
}

func (s *sandbox) deleteGift(id int64) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodDelete, fmt.Sprintf("%s/control/virtuous/orgs/acme/gifts/%d", s.address, id), nil)
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	require.Equal(s.t, http.StatusNoContent, response.StatusCode)
}

func TestOnlyDeletedGiftsAreMarkedWhateverVirtuousAnswers(t *testing.T) {
	t.Parallel()
	for seed := range *deletionSeeds {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, `{}`)
			s.reconciler.Guard = deletion.Guard{Share: 0.05, Min: deletedGifts}
			known := s.addGifts(*deletionGifts)
			by := rand.New(rand.NewPCG(uint64(seed), 0))
			deleted := s.deleteGifts(known, deletedGifts, by)
			queries := s.operations()["gift_query"]

			for _, operation := range []string{"gift", "gift_query"} {
				for _, rule := range []map[string]any{
					{"kind": "status", "status": 500}, {"kind": "status", "status": 403}, {"kind": "status", "status": 503}, {"kind": "page"}, {"kind": "drop"},
					{"kind": "latency", "delayMs": 60_000, "count": 1 + by.IntN(2)}, {"kind": "broken_body"},
				} {
					rule["target"], rule["operation"], rule["probability"] = "virtuous", operation, 0.02+0.08*by.Float64()
					encoded, err := json.Marshal(rule)
					require.NoError(t, err)
					s.fault(string(encoded))
				}
			}
			s.reconciler.Virtuous.Timeout = time.Second
			s.reconcile(t, "acme", bus.CategoryGiftDeletions)
			for range 3 + by.IntN(5) { // more than one try, and fewer than all
				s.advance(t, time.Hour)
				s.reconcile(t, "acme")
				require.Subset(t, deleted, s.marked(t))
			}
			s.fault("")
			s.reconciler.Virtuous.Timeout = 10 * time.Second
			s.searchOn(t)

			require.Equal(t, deleted, s.marked(t))
			require.EqualValues(t, deletedGifts, s.count(`SELECT count(*) FROM virtuous_reconciliation_log WHERE resolution = 'marked_deleted'`))
			require.Equal(t, []string{fmt.Sprintf("done %d %d %d %d", len(known), len(known)-deletedGifts, deletedGifts, deletedGifts)}, s.searches(t))
			require.Greater(t, s.operations()["gift_query"], queries)
		})
	}
}

func TestSearchForDeletedGiftsReadsAThousandIDsByOneRequest(t *testing.T) {
	t.Parallel()
	for most, queries := range map[int]int{1000: 1 + 1, 100: 1 + 3 + 1} { // an empty page ends the list; one is rejected for its length
		s := newSandbox(t, fmt.Sprintf(`{"maxTake":%d}`, most))
		s.addGifts(250)
		before := s.operations()
		s.search(t)
		require.Equal(t, []string{"done 250 250 0 0"}, s.searches(t))
		require.Equal(t, queries, s.operations()["gift_query"]-before["gift_query"])
		require.Equal(t, before["gift"], s.operations()["gift"])
	}
}
