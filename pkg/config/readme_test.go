package config_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestReadmeNamesEverySetting(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, setting := range config.Settings() {
		require.Contains(t, string(readme), "`"+setting.Name+"`")
		if setting.Default != "" {
			require.Contains(t, string(readme), "`"+setting.Default+"`", setting.Name)
		}
	}
}
