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
		return ErrNotPublic // an unreadable address is not known to be public
	}
	return nil
}
