package dev

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func plain(text string) string { return text }

func TestTheBoxTellsHowToOnboardWithTheRealPorts(t *testing.T) {
	t.Parallel()
	text := guide{program: "bin/rollcall", natsURL: "nats://127.0.0.1:4223", sandboxURL: "http://127.0.0.1:9091", folder: "/d/.rollcall"}.box(plain)
	for _, line := range []string{
		"  export NATS_URL=nats://127.0.0.1:4223\n",
		`  nats req rollcall.onboarding.request.acme '{"customerId":"acme","vomoToken":"sandbox-acme-token",` +
			`"externalSystemUrl":"http://127.0.0.1:9091/crm/acme"}'` + "\n",
		"  bin/rollcall status acme\n",
	} {
		require.Contains(t, text, line)
	}
	var widths []int
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "+") {
			widths = append(widths, len(line))
		}
	}
	require.Len(t, widths, 5)
	require.Equal(t, slices.Repeat(widths[:1], 5), widths, "its sides are straight")
}

func TestNobodyIsToldToExportWhatIsUsualAnyway(t *testing.T) {
	t.Parallel()
	text := guide{program: "rollcall", usualNATS: true, natsURL: "nats://127.0.0.1:4222", dir: "/elsewhere"}.afterDemo()
	require.NotContains(t, text, "export")
	require.Contains(t, text, "  rollcall dev --dir /elsewhere\n")
}
