package destination_test

import (
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestNameOfPrivateAddressIsNotConnected(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	for _, host := range []string{"localhost", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "::1"} {
		_, err := destination.NewDialer(destination.PrivateAccess{}).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		require.ErrorIs(t, err, destination.ErrNotPublic, host)
	}
	conn, err := destination.NewDialer(destination.PrivateAccess{All: true}).DialContext(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	require.NoError(t, err, "the operator may allow it")
	accepted, err := listener.Accept()
	require.NoError(t, err)
	require.Equal(t, conn.LocalAddr().String(), accepted.RemoteAddr().String(), "no connection may have been made before")
	require.NoError(t, accepted.Close())
	require.NoError(t, conn.Close())
}

func TestDialerChecksFinalAddress(t *testing.T) {
	t.Parallel()
	control := destination.NewDialer(destination.PrivateAccess{}).ControlContext
	for address, public := range map[string]bool{
		"9.9.9.9:443": true, "172.15.255.255:1": true, "172.32.0.0:1": true, "100.63.255.255:1": true, "198.20.0.0:1": true, "223.255.255.255:1": true,
		"[2606:4700::1111]:443": true, "[2a00:1450::1]:1": true, "[2003::1]:1": true,

		"127.0.0.1:80": false, "10.0.0.1:80": false, "172.16.0.1:80": false, "192.168.0.1:80": false, "169.254.169.254:80": false,
		"100.64.0.1:80": false, "0.0.0.0:80": false, "0.255.0.1:80": false, "224.0.0.1:80": false, "255.255.255.255:80": false,
		"192.0.2.1:80": false, "198.18.0.1:80": false, "198.51.100.1:80": false, "203.0.113.1:80": false, "240.0.0.1:80": false,
		"[::]:80": false, "[::1]:80": false, "[::127.0.0.1]:80": false, "[::ffff:127.0.0.1]:80": false, "[::ffff:9.9.9.9]:80": false,
		"[fc00::1]:80": false, "[fdff::1]:80": false, "[fe80::1]:80": false, "[fe80::1%eth0]:80": false, "[2606:4700::1%eth0]:80": false,
		"[fec0::1]:80": false, "[ff02::1]:80": false, "[64:ff9b::7f00:1]:80": false, "[64:ff9b::9.9.9.9]:80": false, "[64:ff9b:1::1]:80": false,
		"[2002:7f00:1::1]:80": false, "[2001::1]:80": false, "[2001:db8::1]:80": false, "[3fff::1]:80": false, "[100::1]:80": false, "[5f00::1]:80": false,

		"127.1:80": false, "2130706433:80": false, "0x7f.1:80": false, "localhost:80": false, "": false, "/run/socket": false,
	} {
		err := control(t.Context(), "tcp", address, nil)
		require.Equal(t, public, err == nil, address)
		if !public {
			require.ErrorIs(t, err, destination.ErrNotPublic, address)
		}
	}
}

func TestPrivateAddressIsFailureOfDestinationNotOfRecord(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.KindUnknown, fault.KindOf(destination.ErrNotPublic))
	require.Equal(t, "destination_not_public", fault.CodeOf(destination.ErrNotPublic))
	require.False(t, destination.Retryable(destination.ErrNotPublic), "three attempts in a row look up the same name")
	require.ErrorContains(t, destination.ErrNotPublic, "ALLOW_PRIVATE_HOSTS")
}

func FuzzAcceptedURLHasNoPrivateAddress(f *testing.F) {
	for _, raw := range []string{
		"https://crm.example.org/api", "http://127.0.0.1", "http://[::ffff:7f00:1]/", "http://0x7f.1/", "http://2130706433/", "https://[fe80::1%25eth0]:1/x",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if destination.CheckURL(raw, destination.PrivateAccess{}) != nil {
			return
		}
		require.NoError(t, destination.CheckURL(raw, destination.PrivateAccess{All: true}))
		target, err := url.Parse(raw)
		require.NoError(t, err)
		if addr, err := netip.ParseAddr(target.Hostname()); err == nil {
			require.NoError(t, destination.NewDialer(destination.PrivateAccess{}).ControlContext(t.Context(), "tcp", netip.AddrPortFrom(addr, 80).String(), nil))
		}
	})
}

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
