package virtuous

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Organization is the organization that a key belongs to.
type Organization struct {
	ID         int64
	Name       string
	TimeZone   string         // as Virtuous spells it
	Zone       *time.Location // of TimeZone; nil if it is not known
	Culture    string         // such as en-US
	IsDisabled bool
}

// Organization returns the organization of the key, and so checks the key: ErrUnauthorized and ErrForbidden mean that
// Virtuous rejects it. Every other error says nothing about the key.
func (c *Client) Organization(ctx context.Context) (Organization, error) {
	r, err := c.read(ctx, call{method: http.MethodGet, path: []string{"Organization", "Current"}})
	if err != nil {
		return Organization{}, fmt.Errorf("read the organization: %w", err)
	}
	value, err := objectOf(r)
	if err != nil {
		return Organization{}, fmt.Errorf("read the organization: %w", err)
	}
	organization := Organization{
		ID:   cmp.Or(idAt(value, "organizationId"), idAt(value, "organizationUserId"), idAt(value, "id")),
		Name: cmp.Or(textAt(value, "organizationName"), textAt(value, "name")), TimeZone: textAt(value, "organizationTimeZone"),
		Culture: textAt(value, "organizationCulture"), IsDisabled: value.Get("isEnabled").Type == gjson.False,
	}
	if organization.ID == 0 {
		return Organization{}, fmt.Errorf("read the organization: %w", unknownAnswer(r, "it names no organization"))
	}
	organization.Zone = zoneOf(organization.TimeZone)
	return organization, nil
}

// zoneOf returns a time zone by the name of the IANA database or of Windows, nil if it is not known.
func zoneOf(name string) *time.Location {
	name = strings.TrimSpace(name)
	if name == "" || strings.EqualFold(name, "local") {
		return nil
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	for line := range strings.Lines(windowsZones) {
		windows, iana, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !strings.EqualFold(windows, name) || windows == "" {
			continue
		}
		if zone, err := time.LoadLocation(iana); err == nil {
			return zone
		}
	}
	return nil
}

// windowsZones has the names that .NET gives to the zones in which charities with Virtuous are.
const windowsZones = `
Hawaiian Standard Time=Pacific/Honolulu
Alaskan Standard Time=America/Anchorage
Pacific Standard Time=America/Los_Angeles
US Mountain Standard Time=America/Phoenix
Mountain Standard Time=America/Denver
Central Standard Time=America/Chicago
Canada Central Standard Time=America/Regina
Central Standard Time (Mexico)=America/Mexico_City
Eastern Standard Time=America/New_York
US Eastern Standard Time=America/Indiana/Indianapolis
SA Pacific Standard Time=America/Bogota
Atlantic Standard Time=America/Halifax
Newfoundland Standard Time=America/St_Johns
E. South America Standard Time=America/Sao_Paulo
UTC=Etc/UTC
Coordinated Universal Time=Etc/UTC
GMT Standard Time=Europe/London
Greenwich Standard Time=Atlantic/Reykjavik
W. Europe Standard Time=Europe/Berlin
Central Europe Standard Time=Europe/Budapest
Romance Standard Time=Europe/Paris
Central European Standard Time=Europe/Warsaw
GTB Standard Time=Europe/Bucharest
FLE Standard Time=Europe/Kyiv
Israel Standard Time=Asia/Jerusalem
South Africa Standard Time=Africa/Johannesburg
W. Central Africa Standard Time=Africa/Lagos
E. Africa Standard Time=Africa/Nairobi
India Standard Time=Asia/Kolkata
SE Asia Standard Time=Asia/Bangkok
China Standard Time=Asia/Shanghai
Singapore Standard Time=Asia/Singapore
W. Australia Standard Time=Australia/Perth
Tokyo Standard Time=Asia/Tokyo
Korea Standard Time=Asia/Seoul
Cen. Australia Standard Time=Australia/Adelaide
AUS Central Standard Time=Australia/Darwin
E. Australia Standard Time=Australia/Brisbane
AUS Eastern Standard Time=Australia/Sydney
New Zealand Standard Time=Pacific/Auckland
`
