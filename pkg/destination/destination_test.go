package destination_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/fault"
)

func TestDestinationIsOpenedByKind(t *testing.T) {
	t.Parallel()
	opener := &destination.Opener{Factories: map[string]destination.Factory{"rest": rest.Factory(rest.Config{}, destination.PrivateAccess{})}}

	dest, err := opener.Open(destination.Config{Kind: "rest", URL: "https://crm.example.org/api", Token: "s3cret"})

	require.NoError(t, err)
	require.IsType(t, &rest.Destination{}, dest)
}

func TestErrorForUnknownKindNamesKnownKinds(t *testing.T) {
	t.Parallel()
	opener := &destination.Opener{Factories: map[string]destination.Factory{
		"rest": rest.Factory(rest.Config{}, destination.PrivateAccess{}), "postgres": nil}}

	_, err := opener.Open(destination.Config{Kind: "resst", URL: "https://crm.example.org"})
	require.EqualError(t, err, `kind "resst" of destination is not known: use one of postgres, rest`)
	require.Equal(t, "destination_kind_unknown", fault.CodeOf(err))
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))

	_, err = opener.Open(destination.Config{Kind: "Bearer s3cret"})
	require.ErrorContains(t, err, "this kind of destination is not known")
}

func TestPrivateDestinationNeedsPermission(t *testing.T) {
	t.Parallel()
	cfg := destination.Config{Kind: "rest", URL: "http://127.0.0.1:9090/crm"}
	for allowed, code := range map[bool]string{false: "destination_url_private", true: "internal"} {
		opener := &destination.Opener{Factories: map[string]destination.Factory{"rest": rest.Factory(rest.Config{}, destination.PrivateAccess{All: allowed})}}
		_, err := opener.Open(cfg)
		require.Equal(t, allowed, err == nil)
		require.Equal(t, code, fault.CodeOf(err))
	}
}

func TestPrintedConfigHidesToken(t *testing.T) {
	t.Parallel()
	cfg := destination.Config{Kind: "rest", URL: "https://crm.example.org", Token: "s3cret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(format, cfg), "s3cret")
		require.Contains(t, fmt.Sprintf(format, cfg), "crm.example.org")
	}
}
