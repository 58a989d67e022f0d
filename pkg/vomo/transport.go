package vomo

import (
	"net/http"
	"time"
)

// NewTransport returns the transport to VOMO that all jobs share, for this many customers at once. It keeps
// connections open between pages, and uses the proxy of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
func NewTransport(customers int) *http.Transport {
	kept := 2 * maxAhead * max(customers, 1)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: kept, MaxIdleConnsPerHost: kept, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: defaultTimeout, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
}
