package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

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
