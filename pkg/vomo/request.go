package vomo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/retryafter"
	"rollcall.dev/pkg/telemetry"
)

const (
	maxBody      = 16 << 20
	maxRedirects = 3
	// maxDrain is how much of an unneeded body is read so that its connection can be reused.
	maxDrain = 64 << 10
)

// errTimeLimit marks the end of a request's own timeout, to distinguish it from the end of the caller's context.
var errTimeLimit = errors.New("request took too long")

// reply is one HTTP answer.
type reply struct {
	status   int
	header   http.Header
	location *url.URL // nil if a redirect has no location
	body     []byte   // of a 2xx, or of a rejected upsert
}

// attempt requests a page once. It follows a redirect inside BaseURL's origin to its path and adds the query again,
// since redirects are known to lose it. Each hop needs Before's permission like any other request.
func (c *Client) attempt(ctx context.Context, a ask) (answer, error) {
	target, query := *c.users, a.query.values(a.number).Encode()
	switch {
	case a.upsert != nil:
		query = ""
	case a.id != "":
		target, query = *c.at(a.id), ""
	}
	for hop := 0; ; hop++ {
		if err := a.awaitSend(ctx); err != nil {
			return answer{}, err
		}
		target.RawQuery = query
		requesting, span := telemetry.StartRequest(ctx, a.span())
		r, err := c.send(requesting, &target, a.upsert)
		span.Set(telemetry.Status(r.status), telemetry.Page(a.number))
		span.End(err)
		if err != nil {
			return answer{}, err
		}
		if r.status < 300 || r.status >= 400 {
			return c.judge(ctx, a, r)
		}
		switch {
		case r.location == nil || hop == maxRedirects || a.upsert != nil: // a redirect may turn a POST into a GET
			return answer{}, fault.Unknown("vomo_redirect", ErrTooManyRedirects)
		case origin(r.location) != origin(c.users):
			return answer{}, fault.Unknown("vomo_redirect", ErrForeignRedirect)
		}
		target.Path, target.RawPath = r.location.Path, r.location.RawPath
	}
}

// span returns the name of a request's span.
func (a ask) span() string {
	switch {
	case a.upsert != nil:
		return telemetry.SpanUpsertUser
	case a.id != "":
		return telemetry.SpanReadUser
	}
	return telemetry.SpanReadPage
}

// judge returns the answer or the fault of a reply that is not a redirect.
func (c *Client) judge(ctx context.Context, a ask, r reply) (answer, error) {
	if r.status >= 400 {
		return c.classifyStatus(ctx, a, r)
	}
	decode := func() (answer, error) { return decodePage(r.body, a.number) }
	switch {
	case a.upsert != nil:
		return c.dated(decodeUpserted(r), r), nil
	case a.id != "":
		decode = func() (answer, error) { return decodeDetail(r.body, a.id) }
	}
	if a.participations {
		decode = func() (answer, error) { return decodeParticipations(r.body, a.id) }
	}
	ans, err := decode()
	if err != nil {
		return answer{}, &again{err: err}
	}
	if defect := ans.unreadableAlike(a.query); defect != "" && !a.probe {
		return answer{}, &again{err: unreadable(len(ans.page.Bad), defect)}
	}
	return c.dated(ans, r), nil
}

// classifyStatus returns the fault of a status from 400 on. A pause that it names, whatever the status, applies to the
// customer. If a page after the first does not exist, the list ends there.
func (c *Client) classifyStatus(ctx context.Context, a ask, r reply) (answer, error) {
	after := retryafter.Of(r.header, c.now())
	if after > 0 || r.status == http.StatusTooManyRequests {
		c.throttled(ctx, after)
	}
	if a.upsert != nil && isRejection(r.status) {
		return answer{}, rejectedUpsert(r)
	}
	if r.status == http.StatusNotFound && a.id == "" && a.number > 1 {
		return c.dated(pastTheEnd(a.number, -1), r), nil
	}
	retry, err := true, fault.Throttled("vomo_throttled", after, ErrThrottled)
	if r.status != http.StatusTooManyRequests {
		retry, err = statusFault(r.status, after)
	}
	if !retry || after > maxPause {
		return answer{}, err
	}
	return answer{}, &again{err: err, after: after}
}

// dated adds VOMO's clock, from the Date header, to an answer.
func (c *Client) dated(ans answer, r reply) answer {
	if date, err := http.ParseTime(r.header.Get("Date")); err == nil {
		ans.page.Date = date.UTC()
	}
	return ans
}

// send sends one request, a POST if it has a body, and reads the answer's body, all within the client's timeout.
func (c *Client) send(ctx context.Context, target *url.URL, posted []byte) (reply, error) {
	timed, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeLimit)
	defer cancel()
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if posted != nil {
		method, content = http.MethodPost, bytes.NewReader(posted)
	}
	req, err := http.NewRequestWithContext(timed, method, target.String(), content)
	if err != nil { // its text would quote the URL
		return reply{}, errors.New("make request")
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "rollcall")
	if posted != nil {
		req.Header.Set("Content-Type", "application/json")
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, sendFault(ctx, timed, err, unreachable(err))
	}
	defer func() { _ = resp.Body.Close() }() // the body was only read, so an error of Close loses nothing

	r := reply{status: resp.StatusCode, header: resp.Header}
	if posted != nil && isRejection(r.status) {
		r.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxRejection)) // only a hint: the status says enough
		return r, nil
	}
	if r.status >= 300 {
		r.location, _ = resp.Location() // nil if there is no Location or it is not a URL
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
		return r, nil
	}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return reply{}, sendFault(ctx, timed, err, broken("it ends too early"))
	}
	if len(r.body) > maxBody {
		return reply{}, fault.Unknown("vomo_body_too_large", ErrBodyTooLarge)
	}
	return r, nil
}

// sendFault decides what ended a request: the caller's context, our timeout, or (otherwise) the connection.
func sendFault(ctx, timed context.Context, err, otherwise error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var timeout net.Error
	if errors.Is(context.Cause(timed), errTimeLimit) || errors.As(err, &timeout) && timeout.Timeout() {
		return &again{err: fault.Unknown("vomo_timeout", errors.New("VOMO did not answer in time"))}
	}
	return &again{err: otherwise}
}

// origin returns scheme, host and port, which decide whether the token may be sent there.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
