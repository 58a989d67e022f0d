package rest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"rollcall.dev/pkg/destination"
)

// NewTransport returns a transport that all REST destinations of a process share. It keeps connections open, as many
// idle ones per host as a page's writes need at once. It rejects addresses that are not public when it dials, unless
// private allows the destination (see destination.NewDialer). It uses no proxy of the environment: the proxy would be
// dialled instead of the destination, and would resolve names itself.
func NewTransport(private destination.PrivateAccess) *http.Transport {
	dialer := destination.NewDialer(private)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err //nolint:wrapcheck // transportFault finds its own words for it
			}
			return &gatedConn{Conn: conn}, nil
		},
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           512,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Answers have a few dozen bytes, so compression gains nothing, and without it there are no decompression
		// bombs.
		DisableCompression: true,
		// Without pings a dead HTTP/2 connection fails every request until the kernel closes it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}
