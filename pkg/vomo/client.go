package vomo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/endpoint"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 4
	// maxHeaderBytes limits an answer's header, which the limit on bodies does not cover.
	maxHeaderBytes = 64 << 10
)

// Config configures a Client. BaseURL and Token are required; everything else has a default.
type Config struct {
	// BaseURL is the API's root, such as https://api.vomo.org/v1. The client sends requests only to its origin.
	BaseURL string
	// Token is sent unchanged as a Bearer token.
	Token string
	// Transport sends the requests. A process with many clients should share one. nil: a transport from NewTransport
	// for this client.
	Transport http.RoundTripper
	// Timeout limits one request with its body; 0 is 10 s.
	Timeout time.Duration
	// Attempts is the maximum number of attempts for one page; 0 is 4.
	Attempts int
	// Before is called before each request is sent, including every further attempt and every hop of a redirect. It
	// waits for budget and checks the lease, and must return when ctx ends. Its error is returned wrapped and is not
	// retried. The time spent in it does not count against Timeout.
	Before func(ctx context.Context) error
	// Expect is called before Before with the number of requests that follow if nothing fails, where a scan knows it. nil: it is not.
	Expect func(requests int)
	// Throttled is called for every 429 and for every other rejection that names a pause. after is that pause, at
	// most an hour; 0 if a 429 named none.
	Throttled func(ctx context.Context, after time.Duration)
	// Now is the local clock; nil is time.Now.
	Now func() time.Time
	// Sleep waits for d between two attempts. If ctx ends first, it returns ctx's cause. nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client reads the users of one organisation. Many goroutines may use it, and it runs none of its own between calls.
type Client struct {
	users     *url.URL // …/users, without a query
	token     string
	http      *http.Client
	timeout   time.Duration
	attempts  int
	before    func(ctx context.Context) error
	expect    func(requests int)
	throttled func(ctx context.Context, after time.Duration)
	now       func() time.Time
	sleep     func(ctx context.Context, d time.Duration) error
}

// New validates cfg and returns a Client. The error names every wrong field and no field's value.
func New(cfg Config) (*Client, error) {
	base, baseErr := endpoint.ParseBaseURL(cfg.BaseURL)
	if err := errors.Join(baseErr, endpoint.CheckCredential("Token", cfg.Token), checkLimits(cfg)); err != nil {
		return nil, fmt.Errorf("configure VOMO client: %w", err)
	}
	c := &Client{
		users: base.JoinPath("users"), token: cfg.Token,
		timeout: cfg.Timeout, attempts: cfg.Attempts,
		before: cfg.Before, expect: cfg.Expect, throttled: cfg.Throttled, now: cfg.Now, sleep: cfg.Sleep,
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.attempts == 0 {
		c.attempts = defaultAttempts
	}
	if c.before == nil {
		c.before = func(context.Context) error { return nil }
	}
	if c.expect == nil {
		c.expect = func(int) {}
	}
	if c.throttled == nil {
		c.throttled = func(context.Context, time.Duration) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = backoff.Sleep
	}
	transport := cfg.Transport
	if transport == nil {
		transport = NewTransport(1)
	}
	c.http = &http.Client{
		Transport: transport,
		// The client follows redirects itself, one request at a time: each needs Before's permission and the query of
		// the page.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Probe reads page 1 without filters in a single attempt, to learn whether the token is valid. nil means that it is,
// ErrUnauthorized and ErrForbidden that it is not; any other error says nothing about the token.
func (c *Client) Probe(ctx context.Context) (Page, error) {
	a, err := c.fetch(ctx, ask{number: 1, attempts: 1, probe: true, awaitSend: c.awaitSend})
	if err != nil {
		return Page{}, fmt.Errorf("probe VOMO: %w", err)
	}
	return a.page, nil
}

// Page reads one page, counted from 1, with retries as described in the package comment. If VOMO asks for a pause of
// more than 10 s, Page does not wait: it returns a throttled fault at once.
func (c *Client) Page(ctx context.Context, query Query, number int) (Page, error) {
	if number < 1 {
		return Page{}, fmt.Errorf("read page %d: pages are counted from 1", number)
	}
	a, err := c.fetch(ctx, ask{number: number, query: query, attempts: c.attempts, awaitSend: c.awaitSend})
	if err != nil {
		return Page{}, fmt.Errorf("read page %d: %w", number, err)
	}
	return a.page, nil
}

func checkLimits(cfg Config) error {
	var errs []error
	if cfg.Timeout < 0 {
		errs = append(errs, errors.New("Timeout: must not be negative"))
	}
	if cfg.Attempts < 0 {
		errs = append(errs, errors.New("Attempts: must not be negative"))
	}
	return errors.Join(errs...)
}

// NewTransport returns the transport to VOMO that all jobs share, for this many customers at once. It keeps
// connections open between pages, and uses the proxy of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
func NewTransport(customers int) *http.Transport {
	kept := 2 * maxAhead * max(customers, 1)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: kept, MaxIdleConnsPerHost: kept, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: defaultTimeout, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
}
