package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestConcurrentSubmissionsImportsAndDeliveriesMakeOneGiftOfEachTransaction submits every transaction from several goroutines, while
// staff run imports, the clock jumps and deliveries are under way.
func TestConcurrentSubmissionsImportsAndDeliveriesMakeOneGiftOfEachTransaction(t *testing.T) {
	t.Parallel()
	const submitters, each = 6, 40
	s := launch(t, "-virtuous", `acme:{"needsUpdatePercent":10,"webhooks":{"envelope":"mixed","batch":7,"duplicates":0.1,"reordered":0.2}}`)
	newReceiver(t, s.fixture)
	var accepted, repeated atomic.Int64
	var work sync.WaitGroup
	for range submitters {
		work.Go(func() {
			for i := range each {
				got, err := s.try(http.MethodPost, "/virtuous/api/v2/Gift/Transaction", gives(fmt.Sprintf("don-%d", i), "10.00", "bo"), virtuousKey)
				if err != nil {
					t.Errorf("submit: %v", err)
					return
				}
				switch got.status {
				case http.StatusOK:
					accepted.Add(1)
				case http.StatusBadRequest:
					repeated.Add(1)
				}
			}
		})
	}
	work.Go(func() {
		for range 10 {
			if _, err := s.try(http.MethodPut, "/control/clock", `{"advanceSeconds":86400}`, ""); err != nil {
				t.Errorf("move clock: %v", err)
			}
			if _, err := s.try(http.MethodPost, "/control/virtuous/orgs/acme/imports:run", `{"bundle":true}`, ""); err != nil {
				t.Errorf("run imports: %v", err)
			}
		}
	})
	work.Wait()
	require.Equal(t, int64(each), accepted.Load())
	require.Equal(t, int64((submitters-1)*each), repeated.Load())

	s.advance(24 * time.Hour)
	ledger := s.giving(http.MethodGet, "/ledger", "", http.StatusOK)
	transactions := ledger["transactions"].(map[string]any)
	require.InDelta(t, each, transactions["accepted"], 0)
	require.InDelta(t, (submitters-1)*each, transactions["repeats"], 0)
	require.InDelta(t, each, transactions["imported"].(float64)+transactions["needsUpdate"].(float64), 0)
	require.Equal(t, transactions["imported"], ledger["gifts"].(map[string]any)["ofTransactions"])
	code, logs := s.stop()
	require.Zero(t, code, logs)
}
