package job

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParkDelaysDoubleUpToTheLongest(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	for parks := range 7 {
		waits = append(waits, doubling(longestProbe, parks))
	}
	require.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}, waits)
	require.Equal(t, longestVomoPause, doubling(longestVomoPause, 1000))
}
