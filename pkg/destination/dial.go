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
	"local or reserved address: give it a public one, or set ALLOW_PRIVATE_DESTINATIONS=true if this is meant"))

// NewDialer gives the dialer for every kind of destination. Unless allowPrivate is set it refuses, with
// ErrNotPublic, whatever is not public, by the very address that the socket is about to be connected to: what
// the name resolved to a moment before, how the address was spelt, and where a redirect led make no difference.
func NewDialer(allowPrivate bool) *net.Dialer {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	if !allowPrivate {
		dialer.ControlContext = refusePrivate
	}
	return dialer
}

func refusePrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !public(target.Addr()) {
		return ErrNotPublic // an address that cannot be read is not known to be public
	}
	return nil
}
