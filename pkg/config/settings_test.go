package config_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

func TestEverySettingHasANameAndADocLine(t *testing.T) {
	t.Parallel()
	settings := config.Settings()
	require.Len(t, settings, reflect.TypeFor[config.Config]().NumField())
	names := map[string]bool{}
	for _, setting := range settings {
		require.Regexp(t, `^[A-Z][A-Z0-9_]+$`, setting.Name)
		require.NotEmpty(t, setting.Doc, setting.Name)
		require.False(t, names[setting.Name], "%s is listed twice", setting.Name)
		names[setting.Name] = true
	}
}

func TestEveryNumberAndDurationHasARange(t *testing.T) {
	t.Parallel()
	ranges := map[string]string{}
	for _, setting := range config.Settings() {
		ranges[setting.Name] = setting.Range
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		switch field.Type.Kind() {
		case reflect.Int, reflect.Int64, reflect.Float64:
			require.NotEmpty(t, ranges[field.Tag.Get("env")], field.Name)
		default: // a range does not apply to it
		}
	}
	require.Equal(t, "2s to 10m", ranges["CLAIM_TIMEOUT"])
}

func TestSettingsListTheDefaultsInUse(t *testing.T) {
	t.Parallel()
	lines := make([]string, 0, len(config.Settings()))
	for _, setting := range config.Settings() {
		if setting.Default != "" {
			lines = append(lines, setting.Name+"="+setting.Default)
		}
	}
	spelled, err := config.Load(lines)
	require.NoError(t, err)
	unset, err := config.Load(nil)
	require.NoError(t, err)
	require.Equal(t, unset, spelled)
}
