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

// gate stands between one request and its connection and asks destination.LeaveOf for every write. A worker that
// slept (stopped, suspended) wakes up in the middle of whatever it did; asked only before the request was made,
// it would go on and send.
type gate struct {
	askFunc func() error
	cancel  context.CancelCauseFunc

	mu   sync.Mutex
	held error // why it shut
}

// gatedConn asks the gate of the request that has the connection. Until the first request has it, in a TLS
// handshake, there is nothing to ask.
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

// gated puts the gate of the request that will be made under the context between that and its connection. An
// HTTP/1.1 connection belongs to one request at a time, so that each of its writes is asked for. One of HTTP/2
// carries many, for other customers too, whose leases differ: there the gate is asked once, when the request
// gets the connection, and what is left is the moment until its frames are written.
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
				_ = g.ask() // it cancels the request
				return
			}
			conn = secure.NetConn()
		}
		if own, isOwn := conn.(*gatedConn); isOwn {
			own.gate.Store(g)
			return
		}
		_ = g.ask() // somebody else's dialer: as with HTTP/2
	}}), g
}

// ask gives the reason why the request may not go on, and ends the request where there is one.
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

// fault names why a request failed. What we held back ourselves is not the destination's.
func (g *gate) fault(ctx context.Context, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		return g.held
	}
	return transportFault(ctx, err)
}
