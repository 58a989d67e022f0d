package destination

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"rollcall.dev/pkg/fault"
)

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 30 * time.Second
)

// ErrNotPublic means that the destination's name led to an address that is not public, and that no connection was
// made. It is a failure of the destination and not of a record: the job parks until the name leads elsewhere or the
// operator allows it.
var ErrNotPublic = fault.Unknown("destination_not_public", errors.New("the destination's name leads to a private, "+
	"local or reserved address: give it a public one or, if this is meant, add its host:port to ALLOW_PRIVATE_HOSTS "+
	"(ALLOW_PRIVATE_DESTINATIONS=true allows every address)"))

// Dialer connects to destinations of every kind.
type Dialer struct {
	net.Dialer // for destinations whose name private does not allow

	private PrivateAccess
}

// NewDialer returns the dialer for every kind of destination. Unless private allows the destination, it rejects every
// address that is not public with ErrNotPublic. It checks the address that the socket is about to connect to, so an
// earlier lookup, the spelling of the address and redirects make no difference.
func NewDialer(private PrivateAccess) *Dialer {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if !private.All {
		dialer.ControlContext = rejectPrivate
	}
	return &Dialer{Dialer: dialer, private: private}
}

// DialContext connects to address, a host:port.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := d.Dialer
	if host, port, err := net.SplitHostPort(address); err == nil && d.private.allows(host, port) {
		dialer.ControlContext = nil
	}
	return dialer.DialContext(ctx, network, address) //nolint:wrapcheck // as net.Dialer's
}

func rejectPrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !public(target.Addr()) {
		return ErrNotPublic // an unreadable address is not known to be public
	}
	return nil
}

// PrivateAccess says which destinations may have addresses that are not public. The zero value allows none.
type PrivateAccess struct {
	// All allows every destination.
	All bool
	// Hosts are the destinations that are allowed by name, each as host:port in lower case. Only the name counts:
	// another name with the same address is not allowed.
	Hosts []string
}

// allows reports whether the destination at that host and port is allowed, whatever its address is.
func (p PrivateAccess) allows(host, port string) bool {
	return p.All || slices.Contains(p.Hosts, strings.ToLower(net.JoinHostPort(host, port)))
}

// special are the IPv4 ranges that netip has no predicate for and that lead, or can be made to lead, into our own
// network, or nowhere: "this network", carrier-grade NAT, protocol assignments, documentation, the old 6to4 relays,
// benchmarks, reserved and broadcast.
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
	}
}

// global contains all public IPv6 addresses. Addresses outside have special meanings: mapped, compatible and NAT64
// addresses contain an IPv4 address, others stay in one network.
func global() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// special6 are the ranges inside global that are not public: protocol assignments (with Teredo, which contains an
// IPv4 address), documentation, and 6to4, which contains one too.
func special6() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("3fff::/20"),
	}
}

// public rejects every mapped address and every address with a zone: there is no legitimate reason to use one here.
func public(addr netip.Addr) bool {
	ranges := special()
	if addr.Is6() {
		if addr.Zone() != "" || !global().Contains(addr) {
			return false
		}
		ranges = special6()
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	for _, p := range ranges {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
