package virtuous

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrganizationOfTheKeyIsRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, string(payload(t, "made/organization_current.json"))))
	organization, err := f.Organization(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 67890, organization.ID)
	require.Equal(t, "Example Relief (Sandbox)", organization.Name)
	require.Equal(t, "US/Arizona", organization.Zone.String())
	require.Equal(t, "en-US", organization.Culture)
	require.False(t, organization.IsDisabled)
	require.Equal(t, "/api/Organization/Current", f.got()[0].path)
}

func TestOrganizationThatCannotBeReadIsNoVerdictOnTheKey(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `{}`, `[]`, `<html>`, `{"organizationName":"Example"}`, `{"organizationUserId":"none"}`} {
		f := newFixture(t, answering(200, body))
		_, err := f.Organization(t.Context())
		require.ErrorIs(t, err, ErrUnknownAnswer, body)
	}
}

func TestDisabledOrganizationSaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(200, `{"organizationUserId":1,"isEnabled":false,"organizationTimeZone":"Somewhere"}`))
	organization, err := f.Organization(t.Context())
	require.NoError(t, err)
	require.True(t, organization.IsDisabled)
	require.Nil(t, organization.Zone)
}

func TestZonesHaveNamesOfIANAAndOfWindows(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"US/Arizona": "US/Arizona", "America/New_York": "America/New_York", "Eastern Standard Time": "America/New_York",
		"us mountain standard time": "America/Phoenix",
		"UTC":                       "UTC", "GMT Standard Time": "Europe/London",
	} {
		zone := zoneOf(name)
		require.NotNil(t, zone, name)
		require.Equal(t, want, zone.String())
	}
	for _, name := range []string{"", "Local", "Nowhere Standard Time", "../etc/passwd"} {
		require.Nil(t, zoneOf(name), name)
	}
	for line := range strings.Lines(strings.TrimSpace(windowsZones)) {
		windows, _, _ := strings.Cut(line, "=")
		require.NotNil(t, zoneOf(windows), line)
	}
}
