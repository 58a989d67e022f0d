package destination_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
)

func TestPrivateDestinationIsAllowedByName(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	private := destination.PrivateAccess{Hosts: []string{"localhost:" + port}}

	dialer := destination.NewDialer(private)
	conn, err := dialer.DialContext(t.Context(), "tcp", "LocalHost:"+port)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = dialer.DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
	require.ErrorIs(t, err, destination.ErrNotPublic, "another name of the same address must not be allowed")
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	_, otherPort, err := net.SplitHostPort(other.Addr().String())
	require.NoError(t, err)
	_, err = dialer.DialContext(t.Context(), "tcp", "localhost:"+otherPort)
	require.ErrorIs(t, err, destination.ErrNotPublic, "another port of the same host must not be allowed")

	require.NoError(t, destination.CheckURL("http://localhost:"+port+"/crm", private))
	require.NoError(t, destination.CheckURL("http://LOCALHOST.:"+port+"/crm", private))
	require.ErrorContains(t, destination.CheckURL("http://localhost:1/crm", private), "ALLOW_PRIVATE_HOSTS")
	require.ErrorContains(t, destination.CheckURL("http://127.0.0.1:"+port+"/crm", private), "ALLOW_PRIVATE_HOSTS")
}

func TestPrivateDestinationWithoutPortHasDefaultPort(t *testing.T) {
	t.Parallel()
	private := destination.PrivateAccess{Hosts: []string{"10.0.0.7:80", "[fd00::1]:443"}}
	require.NoError(t, destination.CheckURL("http://10.0.0.7/crm", private))
	require.NoError(t, destination.CheckURL("https://[fd00::1]/crm", private))
	require.Error(t, destination.CheckURL("https://10.0.0.7/crm", private))
	require.Error(t, destination.CheckURL("http://[fd00::1]/crm", private))
}
