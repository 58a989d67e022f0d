package virtuous

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// CustomersConfig has the limits of what the clients of a process share; a zero value means the default.
type CustomersConfig struct {
	Failures   uint32        // consecutive failures that open a customer's circuit breaker; default 5
	OpenFor    time.Duration // how long it stays open before it lets one request through; default 30 s
	OptionsAge time.Duration // how long the options of queries are used before they are read again; default a day
	Now        func() time.Time
}

// Customers has what the clients of each customer share in a process: one circuit breaker, and the options of queries.
// It keeps them as long as the process runs: a breaker closes by itself after OpenFor, and options are read again after OptionsAge.
type Customers struct {
	cfg CustomersConfig

	mu   sync.Mutex
	byID map[string]*Customer
}

// Customer is what one customer's clients share.
//
// A status from 500 on and a request without an answer are failures. Every other answer is a success: Virtuous works,
// also if it rejects the key or asks for a slower pace. A request that its caller cancelled, and a page of a query that did
// not come in time, count as neither: a shorter page may come.
type Customer struct {
	breaker *gobreaker.CircuitBreaker[reply]
	options optionsCache
}

// NewCustomers returns an empty set. A process has one.
func NewCustomers(cfg CustomersConfig) *Customers {
	if cfg.Failures == 0 {
		cfg.Failures = 5
	}
	if cfg.OpenFor <= 0 {
		cfg.OpenFor = 30 * time.Second
	}
	if cfg.OptionsAge <= 0 {
		cfg.OptionsAge = 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Customers{cfg: cfg, byID: map[string]*Customer{}}
}

// Of returns what the clients of a customer share.
func (c *Customers) Of(id string) *Customer {
	c.mu.Lock()
	defer c.mu.Unlock()
	customer, known := c.byID[id]
	if !known {
		customer = c.newCustomer()
		c.byID[id] = customer
	}
	return customer
}

// failedAnswer makes an answer with a status from 500 on a failure for the breaker.
type failedAnswer struct{ reply reply }

func (*failedAnswer) Error() string { return "Virtuous answered with a failure" }

// uncountedError marks a failure that says nothing about whether Virtuous works.
type uncountedError struct{ error }

func (u *uncountedError) Unwrap() error { return u.error }

func (c *Customers) newCustomer() *Customer {
	return &Customer{
		options: optionsCache{age: c.cfg.OptionsAge, now: c.cfg.Now},
		breaker: gobreaker.NewCircuitBreaker[reply](gobreaker.Settings{
			MaxRequests: 1,
			Timeout:     c.cfg.OpenFor,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= c.cfg.Failures },
			IsExcluded: func(err error) bool {
				_, uncounted := errors.AsType[*uncountedError](err)
				return uncounted
			},
		}),
	}
}

func (c *Customer) isOpen() bool { return c.breaker.State() == gobreaker.StateOpen }

// attempt makes one request. If the breaker is open, or lets another request through to see whether Virtuous works again,
// it makes none and returns ErrOpen. mayBeSlow is true for a request that may take too long although Virtuous works.
func (c *Customer) attempt(ctx context.Context, mayBeSlow bool, send func() (reply, error)) (reply, error) {
	r, err := c.breaker.Execute(func() (reply, error) {
		r, err := send()
		if err == nil && r.status >= 500 {
			err = &failedAnswer{r}
		}
		isSlow := mayBeSlow && (errors.Is(err, ErrTimeout) || r.status == http.StatusGatewayTimeout)
		if err != nil && (ctx.Err() != nil || isSlow) {
			err = &uncountedError{err}
		}
		return r, err
	})
	if failed, ok := errors.AsType[*failedAnswer](err); ok {
		return failed.reply, nil
	}
	if uncounted, ok := errors.AsType[*uncountedError](err); ok {
		return reply{}, uncounted.error
	}
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return reply{}, &unsentError{openFault()}
	}
	return r, err
}
