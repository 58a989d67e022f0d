package rest

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport gives a transport that all REST destinations of a process share. It keeps connections alive,
// as many idle ones for each host as a page's writes need at once. It takes no proxy from the environment:
// what leaves for a destination leaves as configured.
func NewTransport() *http.Transport {
	// The dialer is the one place that sees the address a name resolved to. Whoever refuses private
	// addresses behind public names does it in its Control.
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:            dialer.DialContext,
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
