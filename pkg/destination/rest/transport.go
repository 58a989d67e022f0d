package rest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"rollcall.dev/pkg/destination"
)

// NewTransport gives a transport that all REST destinations of a process share. It keeps connections alive,
// as many idle ones for each host as a page's writes need at once. Addresses that are not public are refused
// as they are dialled, unless private allows the destination (see destination.NewDialer). It takes no proxy from the
// environment: the proxy would be dialled in the destination's stead and look names up by itself.
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
		// Answers are a few dozen bytes: nothing to gain, and a bomb less.
		DisableCompression: true,
		// Without pings a dead HTTP/2 connection fails every request until the kernel gives it up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}
