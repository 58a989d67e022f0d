package access

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rollcall.dev/pkg/config"
)

// isLocal reports whether requests from this machine may read without credentials: only this machine reaches HTTP_ADDR, and neither OIDC nor
// an address for others is set.
func isLocal(settings config.Config) bool {
	host, _, err := net.SplitHostPort(settings.HTTPAddr)
	if err != nil || !isLoopback(host) || settings.OIDCIssuer != "" {
		return false
	}
	if settings.ConsolePublicURL == "" {
		return true
	}
	public, err := url.Parse(settings.ConsolePublicURL)
	return err == nil && isLoopback(public.Hostname())
}

// fromThisMachine reports whether a browser or a program of this machine sends a request, and means this machine. A page of another site can
// have its own name resolved to 127.0.0.1: then Host is that name. A proxy names the client that it asks for.
func fromThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return isLoopback(strings.Trim(host, "[]"))
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
