package destination

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"rollcall.dev/pkg/fault"
)

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 30 * time.Second
)

// ErrNotPublic says that the destination's name led to an address that is not public, and that no connection was
// made. It is the destination's and no record's: the job parks until the name leads elsewhere or the operator
// allows it.
var ErrNotPublic = fault.Unknown("destination_not_public", errors.New("the destination's name leads to a private, "+
	"local or reserved address: give it a public one or, if this is meant, add its host:port to ALLOW_PRIVATE_HOSTS "+
	"(ALLOW_PRIVATE_DESTINATIONS=true allows every address)"))

// Dialer connects to destinations of every kind.
type Dialer struct {
	net.Dialer // for destinations that private does not allow by name

	private PrivateAccess
}

// NewDialer returns the dialer for every kind of destination. Unless private allows the destination, it refuses, with
// ErrNotPublic, whatever is not public, by the very address that the socket is about to be connected to: what
// the name resolved to a moment before, how the address was spelt, and where a redirect led make no difference.
func NewDialer(private PrivateAccess) *Dialer {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if !private.All {
		dialer.ControlContext = refusePrivate
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

func refusePrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !public(target.Addr()) {
		return ErrNotPublic // an address that cannot be read is not known to be public
	}
	return nil
}
