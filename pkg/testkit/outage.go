package testkit

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Outage returns how long a test of an outage stops a server: 20 s, or the value of ROLLCALL_TEST_OUTAGE (10m when
// run by hand).
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
