package virtuous

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/endpoint"
)

const (
	defaultTimeout      = 30 * time.Second
	defaultQueryTimeout = time.Minute
	defaultAttempts     = 3
	// maxHeaderBytes limits an answer's header, which the limit on bodies does not cover.
	maxHeaderBytes = 64 << 10
)

// Use is what a request is for. The budget of a customer depends on it: submissions go on when little of the quota is left.
type Use int

const (
	// UseRead is for everything but submissions.
	UseRead Use = iota
	// UseSubmit is for gift transactions.
	UseSubmit
)

// Config configures a Client. BaseURL and Key are required; everything else has a default.
type Config struct {
	// BaseURL is where the API is, such as https://api.virtuoussoftware.com. A path in it stands before /api. The client
	// sends requests only to its origin.
	BaseURL string
	// Key is sent unchanged as a Bearer token.
	Key string
	// Renew returns the key that replaces one with which Virtuous answered 401; the same: there is none, and the answer stands. Its error
	// means that nothing is known of the key, and is returned wrapped. nil: keys are not renewed.
	Renew func(ctx context.Context, rejected string) (string, error)
	// Zone is the organization's time zone, for queries by day; nil is UTC.
	Zone *time.Location
	// Customer has what this customer's clients share; nil: this client shares nothing.
	Customer *Customer
	// Transport sends the requests. A process with many clients should share one. nil: one from NewTransport for this
	// client.
	Transport http.RoundTripper
	// Timeout limits one request with its body, QueryTimeout one page of a query; 0 is 30 s and 1 min.
	Timeout, QueryTimeout time.Duration
	// Attempts is the maximum number of attempts for one read; 0 is 3. A write is attempted once.
	Attempts int
	// Before is called before each request is sent, including every further attempt. It waits for budget and checks the
	// lease, and must return when ctx ends. Its error is returned wrapped and is not retried. The time spent in it does
	// not count against Timeout.
	Before func(ctx context.Context, use Use) error
	// Answered is called for each answer, whatever its status: for the budget, the log and the metrics.
	Answered func(ctx context.Context, answer Answer)
	// Now is the local clock; nil is time.Now.
	Now func() time.Time
	// Sleep waits for d between two attempts. If ctx ends first, it returns ctx's cause. nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client sends the requests of one customer. Many goroutines may use it, and it runs none of its own between calls.
type Client struct {
	base         *url.URL               // without /api
	key          atomic.Pointer[string] // as it was renewed last
	renew        func(ctx context.Context, rejected string) (string, error)
	zone         *time.Location
	customer     *Customer
	http         *http.Client
	timeout      time.Duration
	queryTimeout time.Duration
	attempts     int
	before       func(ctx context.Context, use Use) error
	answered     func(ctx context.Context, answer Answer)
	now          func() time.Time
	sleep        func(ctx context.Context, d time.Duration) error
}

// New validates cfg and returns a Client. The error names every wrong field and no field's value.
func New(cfg Config) (*Client, error) {
	base, baseErr := endpoint.ParseBaseURL(cfg.BaseURL)
	if err := errors.Join(baseErr, endpoint.CheckCredential("Key", cfg.Key), checkLimits(cfg)); err != nil {
		return nil, fmt.Errorf("configure Virtuous client: %w", err)
	}
	c := &Client{
		base: base, renew: cfg.Renew, zone: cfg.Zone, customer: cfg.Customer,
		timeout: cfg.Timeout, queryTimeout: cfg.QueryTimeout, attempts: cfg.Attempts,
		before: cfg.Before, answered: cfg.Answered, now: cfg.Now, sleep: cfg.Sleep,
	}
	c.key.Store(&cfg.Key)
	transport := cfg.Transport
	c.setDefaults()
	if transport == nil {
		transport = NewTransport(1)
	}
	c.http = &http.Client{
		Transport: transport,
		// No redirect is followed: the key belongs to BaseURL, and a redirect may turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (c *Client) setDefaults() {
	if c.zone == nil {
		c.zone = time.UTC
	}
	if c.customer == nil {
		c.customer = NewCustomers(CustomersConfig{}).Of("")
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.queryTimeout == 0 {
		c.queryTimeout = defaultQueryTimeout
	}
	if c.attempts == 0 {
		c.attempts = defaultAttempts
	}
	if c.before == nil {
		c.before = func(context.Context, Use) error { return nil }
	}
	if c.answered == nil {
		c.answered = func(context.Context, Answer) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = backoff.Sleep
	}
}

func checkLimits(cfg Config) error {
	var errs []error
	if cfg.Timeout < 0 {
		errs = append(errs, errors.New("Timeout: must not be negative"))
	}
	if cfg.QueryTimeout < 0 {
		errs = append(errs, errors.New("QueryTimeout: must not be negative"))
	}
	if cfg.Attempts < 0 {
		errs = append(errs, errors.New("Attempts: must not be negative"))
	}
	return errors.Join(errs...)
}

// connectionsPerCustomer is how many requests of one customer may be under way: four submissions and a reconciliation.
const connectionsPerCustomer = 5

// NewTransport returns the transport to Virtuous that all jobs share, for this many customers at once. It uses the proxy
// of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
func NewTransport(customers int) *http.Transport {
	kept := connectionsPerCustomer * max(customers, 1)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: kept, MaxIdleConnsPerHost: kept, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
}
