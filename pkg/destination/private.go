package destination

import (
	"net"
	"slices"
	"strings"
)

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
