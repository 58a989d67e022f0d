package virtuous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/fault"
)

const (
	// maxBody limits an answer that is read; a page of 100 gifts has some 150 KiB.
	maxBody = 16 << 20
	// maxHint limits what is read of an answer whose status already says that the request failed.
	maxHint = 256 << 10
	// maxPause is the longest pause that a read waits itself, since it holds a worker's slot meanwhile.
	maxPause = 10 * time.Second
)

// errTimeLimit marks the end of a request's own timeout, to distinguish it from the end of the caller's context.
var errTimeLimit = errors.New("request took too long")

// call is one request.
type call struct {
	method  string
	path    []string // the segments behind /api, or of a grant behind the base
	query   url.Values
	body    []byte // nil: none
	use     Use
	timeout time.Duration // 0: that of the client

	mayBeSlow bool // a timeout says that the page is too long
	isGrant   bool // for /Token: beside /api, form-encoded, and without the key
}

// reply is the answer to a call, of any status.
type reply struct {
	status    int
	requestID string
	date      time.Time // Virtuous' clock; zero if the answer does not say
	after     time.Duration
	body      []byte
	oversized bool // the body was longer than allowed, and is cut
	partial   bool // the body of a failure was not read whole
}

// unsentError marks an error because of which the request was not sent.
type unsentError struct{ error }

func (u *unsentError) Unwrap() error { return u.error }

// IsUnsent reports whether the request that err is about was not sent.
func IsUnsent(err error) bool {
	_, unsent := errors.AsType[*unsentError](err)
	return unsent
}

// retryableError marks a fault that another attempt may not have.
type retryableError struct{ error }

func (r *retryableError) Unwrap() error { return r.error }

// read makes a call until it succeeds, the fault cannot be gone at another attempt, or the attempts are used up.
func (c *Client) read(ctx context.Context, one call) (reply, error) {
	return c.readUntil(ctx, one, func(error) bool { return false })
}

// readUntil is read that also returns the errors that isFinal reports at once.
func (c *Client) readUntil(ctx context.Context, one call, isFinal func(error) bool) (reply, error) {
	delays := backoff.Delays{First: 500 * time.Millisecond, Longest: 8 * time.Second, Jitter: 0.5}
	var last error
	for attempt := 1; ; attempt++ {
		r, err := c.exchange(ctx, one)
		if err == nil {
			return r, nil
		}
		if last != nil && errors.Is(err, ErrOpen) {
			return reply{}, last // what opened the breaker says more
		}
		if _, retryable := errors.AsType[*retryableError](err); !retryable || attempt >= c.attempts || isFinal(err) {
			return reply{}, err
		}
		if after, named := fault.After(err); named && after > maxPause {
			return reply{}, err
		}
		last = err
		after, _ := fault.After(err)
		if err := c.sleep(ctx, max(after, delays.After(attempt))); err != nil {
			return reply{}, fmt.Errorf("wait for the next attempt: %w", err)
		}
	}
}

// readOnce is read for a call whose timeouts the caller handles: it makes another attempt after every other fault.
func (c *Client) readOnce(ctx context.Context, one call) (reply, error) {
	return c.readUntil(ctx, one, func(err error) bool { return errors.Is(err, ErrTimeout) })
}

// exchange makes a call once and returns an error for every status but 2xx.
func (c *Client) exchange(ctx context.Context, one call) (reply, error) {
	r, err := c.do(ctx, one)
	if err == nil {
		err = statusFault(r, one)
	}
	return r, err
}

// do makes a call once and returns its answer, whatever the status. An error that has an unsentError in its chain means that
// the request was not sent. An answer 401 did nothing: if the key can be renewed, the request is sent again with the new one.
func (c *Client) do(ctx context.Context, one call) (reply, error) {
	key := c.key.Load()
	r, err := c.doWith(ctx, one, *key)
	if err != nil || r.status != http.StatusUnauthorized || c.renew == nil {
		return r, err
	}
	renewed, err := c.renew(ctx, *key)
	if err != nil {
		return reply{}, &unsentError{fmt.Errorf("renew the key: %w", err)}
	}
	if renewed == *key {
		return r, nil
	}
	c.key.Store(&renewed)
	return c.doWith(ctx, one, renewed)
}

func (c *Client) doWith(ctx context.Context, one call, key string) (reply, error) {
	if ctx.Err() != nil {
		return reply{}, &unsentError{context.Cause(ctx)}
	}
	if c.customer.isOpen() { // asked first: a request that is not sent must not use up budget
		return reply{}, &unsentError{openFault()}
	}
	if err := c.before(ctx, one.use); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = context.Cause(ctx) // says more than "context canceled"
		}
		return reply{}, &unsentError{fmt.Errorf("wait to send: %w", err)}
	}
	return c.customer.attempt(ctx, one.mayBeSlow, func() (reply, error) { return c.send(ctx, one, key) })
}

// send sends one request and reads the answer's body, all within the call's timeout.
func (c *Client) send(ctx context.Context, one call, key string) (reply, error) {
	timeout := one.timeout
	if timeout == 0 {
		timeout = c.timeout
	}
	timed, cancel := context.WithTimeoutCause(ctx, timeout, errTimeLimit)
	defer cancel()
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(timed, &httptrace.ClientTrace{
		// From the first byte on, Virtuous may have the request.
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	req, err := c.request(traced, one, key)
	if err != nil {
		return reply{}, &unsentError{err}
	}
	began := c.now()
	resp, err := c.http.Do(req)
	if err != nil {
		err = sendFault(ctx, timed, err)
		if !sent.Load() {
			err = &unsentError{err}
		}
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }() // the body was only read, so an error of Close loses nothing

	answer := answerOf(resp, one.use, c.now())
	answer.Took = c.now().Sub(began)
	c.answered(ctx, answer)
	r := reply{status: resp.StatusCode, requestID: answer.RequestID, date: answer.Date, after: answer.After}
	if r.status < 200 || r.status > 299 {
		r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxHint+1))
		r.partial = err != nil || len(r.body) > maxHint // no error: the status says enough for all but a submission
		return r, nil
	}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return reply{}, sendFault(ctx, timed, err)
	}
	if r.oversized = len(r.body) > maxBody; r.oversized {
		r.body = nil
	}
	return r, nil
}

func (c *Client) request(ctx context.Context, one call, key string) (*http.Request, error) {
	content := io.Reader(http.NoBody)
	if one.body != nil {
		content = bytes.NewReader(one.body)
	}
	req, err := http.NewRequestWithContext(ctx, one.method, c.at(one).String(), content)
	if err != nil { // its text would quote the URL
		return nil, errors.New("make request")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "rollcall")
	switch {
	case one.isGrant:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	case one.body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+key)
	return req, nil
}

// at returns the URL of a call.
func (c *Client) at(one call) *url.URL {
	target := *c.base
	escaped := make([]string, len(one.path))
	for i, segment := range one.path {
		escaped[i] = escapeSegment(segment)
	}
	root := "/api/"
	if one.isGrant {
		root = "/"
	}
	target.Path = strings.TrimRight(c.base.Path, "/") + root + strings.Join(one.path, "/")
	target.RawPath = strings.TrimRight(c.base.EscapedPath(), "/") + root + strings.Join(escaped, "/")
	target.RawQuery = one.query.Encode()
	return &target
}

// escapeSegment encodes everything but letters, digits and "-_~.". url.PathEscape leaves
// characters, such as "+" and ":", that servers read in different ways.
func escapeSegment(segment string) string {
	const hex = "0123456789ABCDEF"
	var escaped strings.Builder
	for _, b := range []byte(segment) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '~', b == '.':
			escaped.WriteByte(b)
		default:
			escaped.WriteByte('%')
			escaped.WriteByte(hex[b>>4])
			escaped.WriteByte(hex[b&15])
		}
	}
	return escaped.String()
}

// checkSegment rejects text that would lead to another address.
func checkSegment(segment string) error {
	if segment == "" || segment == "." || segment == ".." || len(segment) > 512 {
		return fault.Permanent("virtuous_id_invalid", errors.New("that cannot be part of an address"))
	}
	for _, b := range []byte(segment) {
		if b < ' ' || b == 0x7f {
			return fault.Permanent("virtuous_id_invalid", errors.New("that has a control character and cannot be part of an address"))
		}
	}
	return nil
}

// sendFault decides what ended a request: the caller's context, our timeout, or (otherwise) the connection.
func sendFault(ctx, timed context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var timeout net.Error
	if errors.Is(context.Cause(timed), errTimeLimit) || errors.As(err, &timeout) && timeout.Timeout() {
		return &retryableError{fault.Unknown("virtuous_timeout", ErrTimeout)}
	}
	return &retryableError{unreachable(err)}
}
