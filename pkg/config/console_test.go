package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestConsoleSettingsMustFitTogether(t *testing.T) {
	t.Parallel()
	for _, wrong := range [][]string{
		{"CONSOLE_PUBLIC_URL=console.example.org"},
		{"CONSOLE_PUBLIC_URL=https://console.example.org/rollcall"},
		{"CONSOLE_PUBLIC_URL=https://ana:pw@console.example.org"},
		{"CONSOLE_FRAME_ANCESTORS=https://app.example.org"},
		{"CONSOLE_FRAME_ANCESTORS=https://app.example.org", "CONSOLE_PUBLIC_URL=http://console.example.org"},
		{"CONSOLE_FRAME_ANCESTORS=https://app.example.org; script-src *", "CONSOLE_PUBLIC_URL=https://console.example.org"},
		{"CONSOLE_FRAME_ANCESTORS=*", "CONSOLE_PUBLIC_URL=https://console.example.org"},
		{"CONSOLE_FRAME_ANCESTORS=https://*.example.org", "CONSOLE_PUBLIC_URL=https://console.example.org"},
		{"OIDC_ISSUER=id.example.org", "OIDC_CLIENT_ID=c", "CONSOLE_PUBLIC_URL=https://console.example.org"},
		{"OIDC_ISSUER=https://id.example.org", "CONSOLE_PUBLIC_URL=https://console.example.org"},
		{"OIDC_ISSUER=https://id.example.org", "OIDC_CLIENT_ID=c"},
		{"CONSOLE_SESSION_IDLE=1s"},
	} {
		_, err := config.Load(wrong)
		require.Error(t, err, wrong)
	}
	settings, err := config.Load([]string{
		"CONSOLE_PUBLIC_URL=https://console.example.org/", "CONSOLE_FRAME_ANCESTORS= https://app.example.org,,https://b.example.org:8443/ ",
		"OIDC_ISSUER=https://id.example.org/realms/a", "OIDC_CLIENT_ID=c",
	})
	require.NoError(t, err)
	require.Equal(t, "https://console.example.org", settings.ConsoleURL())
	ancestors, err := settings.FrameAncestors()
	require.NoError(t, err)
	require.Equal(t, []string{"https://app.example.org", "https://b.example.org:8443"}, ancestors)
}
