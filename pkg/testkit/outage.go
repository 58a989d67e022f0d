package testkit

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Outage is how long a test of an outage keeps a server away: 20 s, or what ROLLCALL_TEST_OUTAGE says (10m by hand).
func Outage(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("ROLLCALL_TEST_OUTAGE")
	if text == "" {
		return 20 * time.Second
	}
	length, err := time.ParseDuration(text)
	require.NoError(t, err, "ROLLCALL_TEST_OUTAGE")
	return length
}
