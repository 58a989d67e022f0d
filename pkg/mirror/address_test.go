package mirror_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/mirror"
)

func TestANameThatLeadsToAPrivateAddressParksThePageAndIsNoRecordsFault(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, count := range []int{1, 15} {
		transport := rest.NewTransport(destination.PrivateAccess{})
		t.Cleanup(transport.CloseIdleConnections)
		plain, err := rest.New(rest.Config{URL: h.crm.server.URL, Transport: transport})
		require.NoError(t, err)
		h.Destination = destination.NewGuard(plain, destination.GuardConfig{Key: customer, Timer: atOnce})

		for _, options := range []mirror.ApplyOptions{{}, {Probe: true}, {Lenient: true}} {
			_, err = h.apply(t, page(1, users(count)...), options)
			require.ErrorIs(t, err, mirror.ErrDestinationDown)
			require.ErrorIs(t, err, destination.ErrNotPublic)
		}
		h.requireNothingCommitted(t)
		require.Empty(t, h.crm.saw())
	}
}
