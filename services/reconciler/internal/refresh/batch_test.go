package refresh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestQuotaIsAShareOfWhatOtherJobsLeave(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		share, perMinute float64
		elapsed          time.Duration
		others, want     int64
	}{
		"nothing else was sent":                {0.1, 100, time.Minute, 0, 10},
		"half was used":                        {0.1, 100, time.Minute, 50, 5},
		"a backfill used all":                  {0.1, 100, time.Minute, 100, 1},
		"more than all, by a manual request":   {0.1, 100, time.Minute, 140, 1},
		"a slow customer":                      {0.1, 3, time.Minute, 0, 1},
		"hours of quiet are not made up for":   {0.1, 100, 8 * time.Hour, 0, 10},
		"what was sent in hours is an average": {0.1, 100, 2 * time.Minute, 100, 5},
		"a share of 1 uses everything":         {1, 180, time.Minute, 80, 100},
		"a part of a request is not a request": {0.1, 99, time.Minute, 0, 9},
	} {
		require.Equal(t, one.want, quotaOf(one.share, one.perMinute, one.elapsed, one.others), name)
	}
}

func TestSpendingIsSplitByJob(t *testing.T) {
	t.Parallel()
	own, others := split(store.Spending{Ever: map[string]int64{store.JobParticipations: 7, store.JobPoll: 2, "dlq_retry": 3}})
	require.Equal(t, [2]int64{7, 5}, [2]int64{own, others})
}
