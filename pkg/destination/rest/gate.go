package rest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"

	"rollcall.dev/pkg/destination"
)

// gate is between one request and its connection and calls destination.LeaveOf before every write. A worker that was
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

// gated puts the gate of the request that will be made under the context between the request and its connection. An
// HTTP/1.1 connection belongs to one request at a time, so each of its writes is checked. An HTTP/2 connection
// carries many requests, also of other customers with other leases: there the gate is checked once, when the request
// gets the connection; only the moment until its frames are written remains unchecked.
func gated(ctx context.Context) (context.Context, *gate) {
	g := &gate{askFunc: destination.LeaveOf(ctx)}
	if g.askFunc == nil {
		return ctx, g
	}
	ctx, g.cancel = context.WithCancelCause(ctx)
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
