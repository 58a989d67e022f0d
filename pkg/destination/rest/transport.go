package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// NewTransport returns a transport that all REST destinations of a process share. It keeps connections open, as many
// idle ones per host as the writes of 16 customers need at once: many customers have the same CRM. It rejects addresses
// that are not public when it dials, unless private allows the destination (see destination.NewDialer). It uses no proxy of
// the environment: the proxy would be dialled instead of the destination, and would resolve names itself.
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
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Answers have a few dozen bytes, so compression gains nothing, and without it there are no decompression
		// bombs.
		DisableCompression: true,
		// Without pings a dead HTTP/2 connection fails every request until the kernel closes it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// gate is between one request and its connection and calls destination.SendCheckOf before every write. A worker that was
// suspended continues in the middle of its work; with a check only before the request, it would go on and send.
type gate struct {
	askFunc func() error
	cancel  context.CancelCauseFunc

	mu   sync.Mutex
	held error // why the gate closed
}

// gatedConn asks the gate of the request that uses the connection. Before the first request uses it, during a TLS
// handshake, there is nothing to check.
type gatedConn struct {
	net.Conn

	gate atomic.Pointer[gate]
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if g := c.gate.Load(); g != nil {
		if err := g.ask(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b) //nolint:wrapcheck // a connection's own errors are its caller's contract
}

// gated puts the gate of the request that will be made under the context, which cancel ends, between the request and its connection. An
// HTTP/1.1 connection belongs to one request at a time, so each of its writes is checked. An HTTP/2 connection
// carries many requests, also of other customers with other leases: there the gate is checked once, when the request
// gets the connection; only the moment until its frames are written remains unchecked.
func gated(ctx context.Context, cancel context.CancelCauseFunc) (context.Context, *gate) {
	g := &gate{askFunc: destination.SendCheckOf(ctx), cancel: cancel}
	if g.askFunc == nil {
		return ctx, g
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		conn := info.Conn
		if secure, isTLS := conn.(*tls.Conn); isTLS {
			if secure.ConnectionState().NegotiatedProtocol == "h2" {
				_ = g.ask() // ask cancels the request
				return
			}
			conn = secure.NetConn()
		}
		if own, isOwn := conn.(*gatedConn); isOwn {
			own.gate.Store(g)
			return
		}
		_ = g.ask() // a connection of another dialer: check once, as with HTTP/2
	}}), g
}

// ask returns the reason why the request may not continue, and in that case cancels the request.
func (g *gate) ask() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		if err := g.askFunc(); err != nil {
			g.held = fmt.Errorf("%w: %w", destination.ErrHeld, err)
			g.cancel(g.held)
		}
	}
	return g.held
}

// fault returns why a request failed. A request that the gate held is not a failure of the destination.
func (g *gate) fault(ctx context.Context, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		return g.held
	}
	return transportFault(ctx, err)
}

// transportFault returns what went wrong between rollcall and the destination. ctx is the caller's; its end is not a
// failure of the destination. Only texts from our side are kept: net/http quotes what it could not parse, and that is
// part of an answer.
func transportFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return abandoned(ctx)
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return fault.Unknown("destination_timeout", destination.NoAnswer(errors.New("the destination did not answer in time")))
	}
	if errors.Is(err, destination.ErrNotPublic) {
		return destination.ErrNotPublic
	}
	// A transport that wraps an http.Client, for example for tracing, may include the URL in its error.
	var quoting *url.Error
	for errors.As(err, &quoting) {
		err = quoting.Err
	}
	var (
		op   *net.OpError
		name *net.DNSError
		cert *tls.CertificateVerificationError
		errn syscall.Errno
	)
	switch {
	case errors.As(err, &name):
		return fault.Unknown("destination_unreachable", destination.NoAnswer(errors.New("the destination's host name was not found")))
	case errors.As(err, &cert):
		return fault.Unknown("destination_unreachable", errors.New("the destination's certificate is not trusted"))
	case errors.As(err, &errn):
		return fault.Unknown("destination_unreachable", destination.NoAnswer(errn))
	case errors.As(err, &op):
		return fault.Unknown("destination_unreachable", destination.NoAnswer(errors.New("no connection to the destination: "+op.Op)))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Unknown("destination_broken_answer", errors.New("the destination's answer broke off"))
	case errors.Is(err, io.EOF):
		return fault.Unknown("destination_unreachable", destination.NoAnswer(errors.New("the destination closed the connection")))
	}
	return fault.Unknown("destination_broken_answer", errors.New("the destination's answer is not readable HTTP"))
}

// abandoned returns the end of the caller's context with its cause.
func abandoned(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return errors.Join(err, cause)
}
