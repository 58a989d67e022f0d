package resolution_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/resolution"
)

var elm = resolution.Address{Address1: "9 Elm St", City: "Mesa", State: "AZ", Postal: "85201", Country: "US"}

func side() resolution.Side {
	return resolution.Side{Name: "Ana Ruiz", Email: "ana.ruiz@example.org", Phone: "555-010-0123", Address: elm}
}

func TestValuesThatOnlyLookDifferentAreEqual(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *resolution.Side){
		"nothing":                 func(*resolution.Side) {},
		"letter case":             func(s *resolution.Side) { s.Name, s.Email = "ANA ruiz", "Ana.Ruiz@Example.ORG" },
		"spaces":                  func(s *resolution.Side) { s.Name, s.Email = " Ana   Ruiz ", " ana.ruiz@example.org " },
		"phone in another form":   func(s *resolution.Side) { s.Phone = "(555) 010.0123" },
		"phone with a country":    func(s *resolution.Side) { s.Phone = "+1 555 010 0123" },
		"phone with an extension": func(s *resolution.Side) { s.Phone = "555-010-0123 x44" },
		"phone without its area":  func(s *resolution.Side) { s.Phone = "010-0123" },
		"punctuation":             func(s *resolution.Side) { s.Address.Address1 = "9, Elm St." },
		"lines divided otherwise": func(s *resolution.Side) { s.Address.Address1, s.Address.Address2 = "9 Elm", "St" },
		"names for codes":         func(s *resolution.Side) { s.Address.State, s.Address.Country = "Arizona", "United States" },
		"postal code with four":   func(s *resolution.Side) { s.Address.Postal = "85201-1234" },
		"parts that only Virtuous has": func(s *resolution.Side) {
			s.Address.Address2 = ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtuous := side()
			change(&virtuous)
			require.Empty(t, resolution.Compare(side(), virtuous))
			require.Empty(t, resolution.Compare(virtuous, side()))
		})
	}
}

func TestAnAccentMayBeACharacterOfItsOwn(t *testing.T) {
	t.Parallel()
	require.Empty(t, resolution.Compare(resolution.Side{Name: "Jos\u00e9 Ruiz"}, resolution.Side{Name: "Jose\u0301 Ruiz"}))
	require.Len(t, resolution.Compare(resolution.Side{Name: "Jos\u00e9 Ruiz"}, resolution.Side{Name: "Jose Ruiz"}), 1)
}

func TestEachFieldThatDiffersIsNamedWithBothValues(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *resolution.Side)
		field  string
		want   string
	}{
		"name":             {func(s *resolution.Side) { s.Name = "Ana Ruiz-Gomez" }, resolution.FieldName, "Ana Ruiz-Gomez"},
		"email":            {func(s *resolution.Side) { s.Email = "ana@example.org" }, resolution.FieldEmail, "ana@example.org"},
		"no email":         {func(s *resolution.Side) { s.Email = "" }, resolution.FieldEmail, ""},
		"phone":            {func(s *resolution.Side) { s.Phone = "555-010-0124" }, resolution.FieldPhone, "555-010-0124"},
		"short phone":      {func(s *resolution.Side) { s.Phone = "123" }, resolution.FieldPhone, "123"},
		"street":           {func(s *resolution.Side) { s.Address.Address1 = "10 Elm St" }, resolution.FieldAddress, "10 Elm St, Mesa, AZ, 85201, US"},
		"city":             {func(s *resolution.Side) { s.Address.City = "Tempe" }, resolution.FieldAddress, "9 Elm St, Tempe, AZ, 85201, US"},
		"state":            {func(s *resolution.Side) { s.Address.State = "NM" }, resolution.FieldAddress, "9 Elm St, Mesa, NM, 85201, US"},
		"country":          {func(s *resolution.Side) { s.Address.Country = "MX" }, resolution.FieldAddress, "9 Elm St, Mesa, AZ, 85201, MX"},
		"postal code":      {func(s *resolution.Side) { s.Address.Postal = "85202" }, resolution.FieldAddress, "9 Elm St, Mesa, AZ, 85202, US"},
		"no address there": {func(s *resolution.Side) { s.Address = resolution.Address{} }, resolution.FieldAddress, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtuous := side()
			c.change(&virtuous)
			require.Equal(t, []resolution.Difference{{Field: c.field, Partner: side().Of(c.field), Virtuous: c.want}}, resolution.Compare(side(), virtuous))
		})
	}
}

func TestAFieldThatThePlatformDoesNotHaveIsNotCompared(t *testing.T) {
	t.Parallel()
	require.Empty(t, resolution.Compare(resolution.Side{Name: "Ana Ruiz"}, side()))
	require.Empty(t, resolution.Compare(resolution.Side{Address: resolution.Address{City: "Mesa"}}, side()))
	all := resolution.Compare(side(), resolution.Side{})
	require.Len(t, all, len(resolution.Fields()))
}
