package traffic

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindowFindsTheBusiestInterval(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at := time.Unix(0, 0)
		length := time.Duration(1+random.IntN(50)) * time.Millisecond
		w := window{length: length}
		var all []time.Time
		for range 60 {
			at = at.Add(time.Duration(random.IntN(20)) * time.Millisecond)
			all = append(all, at)
			w.arrive(at)
		}
		most := 0
		for _, from := range all {
			inside := 0
			for _, one := range all {
				if !one.Before(from) && one.Before(from.Add(length)) {
					inside++
				}
			}
			most = max(most, inside)
		}
		require.Equal(t, most, w.most)
	}
}

func TestWindowKeepsOnlyTheLastInterval(t *testing.T) {
	t.Parallel()
	w := window{length: time.Second}
	for i := range 100_000 {
		w.arrive(time.Unix(0, int64(i)*int64(100*time.Millisecond)))
	}
	require.Equal(t, 10, w.most)
	require.LessOrEqual(t, cap(w.recent), 64)
}

func TestLedgerCountsNamesAboveItsLimitTogether(t *testing.T) {
	t.Parallel()
	ledger := NewLedger(time.Now)
	for i := range maxNames + 10 {
		ledger.Arrive(string(rune('a'+i%26)) + time.Duration(i).String())
	}
	reports := ledger.Reports()
	require.Len(t, reports, maxNames+1)
	require.Equal(t, 10, reports[Other].Requests)
}
