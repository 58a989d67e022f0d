package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestSizesAreParsedWithAndWithoutUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Bytes{"": 2 << 30, "1048576": 1 << 20, "3MiB": 3 << 20, "3 GiB": 3 << 30, "1TiB": 1 << 40, "2048KiB": 2 << 20} {
		settings, err := config.Load([]string{"EVENTS_MAX_BYTES=" + text})
		require.NoError(t, err, text)
		require.Equal(t, want, settings.EventsMaxBytes, text)
	}
	for _, text := range []string{"1GB", "-1MiB", "x", "9999999999TiB", "1.5GiB"} {
		_, err := config.Load([]string{"EVENTS_MAX_BYTES=" + text})
		require.ErrorContains(t, err, "EVENTS_MAX_BYTES cannot be read: expected a size such as 256MiB, 1MiB to 1024TiB", text)
	}
	_, err := config.Load([]string{"DLQ_MAX_BYTES=1KiB"})
	require.ErrorContains(t, err, "DLQ_MAX_BYTES is out of range")
}
