package cli

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTimesAreWrittenInTheirTwoLargestUnits(t *testing.T) {
	t.Parallel()
	for number, want := range map[int64]string{
		0: "0s", 45: "45s", 60: "1m", 720: "12m", 725: "12m5s", 440: "7m20s", 3600: "1h00m", 5400: "1h30m", 47 * 3600: "47h00m",
		50 * 3600: "2d02h", math.MaxInt64: "106751d23h",
	} {
		require.Equal(t, want, seconds(number))
	}
}

func TestNumbersAreGroupedAndTheirNounsAgree(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 user", counted(1, "user"))
	require.Equal(t, "0 replicas", counted(0, "replica"))
	require.Equal(t, "1,234,567 named letters", counted(int64(1_234_567), "named letter"))
}
