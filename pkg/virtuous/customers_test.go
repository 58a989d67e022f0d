package virtuous

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/fault"
)

func TestBreakerOpensForAllClientsOfOneCustomer(t *testing.T) {
	t.Parallel()
	customers := NewCustomers(CustomersConfig{Failures: 3, OpenFor: time.Hour})
	f := newFixture(t, answering(500, ""), func(cfg *Config) { cfg.Attempts, cfg.Customer = 1, customers.Of("acme") })
	for range 3 {
		_, err := f.Gift(t.Context(), 1)
		require.Equal(t, "virtuous_5xx", fault.CodeOf(err))
	}
	other := newFixture(t, answering(200, recordedGift), func(cfg *Config) { cfg.Customer = customers.Of("acme") })
	_, err := other.Gift(t.Context(), 1)
	require.ErrorIs(t, err, ErrOpen)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Equal(t, "virtuous_open", fault.CodeOf(err))
	require.Equal(t, Unsent, other.SubmitGift(t.Context(), []byte(submission)).Verdict)
	require.Empty(t, other.got())
	require.Empty(t, other.uses, "what is not sent uses up no budget")

	stranger := newFixture(t, answering(200, recordedGift), func(cfg *Config) { cfg.Customer = customers.Of("globex") })
	_, err = stranger.Gift(t.Context(), 1)
	require.NoError(t, err)
}

func TestAnswersBelow500DoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	customers := NewCustomers(CustomersConfig{Failures: 1, OpenFor: time.Hour})
	for _, status := range []int{200, 302, 400, 401, 403, 404, 408, 409, 422, 429} {
		f := newFixture(t, answering(status, "<html>"), func(cfg *Config) { cfg.Attempts, cfg.Customer = 1, customers.Of("acme") })
		_, err := f.Gift(t.Context(), 1)
		require.Error(t, err)
		require.False(t, f.customer.isOpen(), status)
	}
}

func TestReadThatOpensTheBreakerReturnsItsOwnFault(t *testing.T) {
	t.Parallel()
	customers := NewCustomers(CustomersConfig{Failures: 2, OpenFor: time.Hour})
	f := newFixture(t, answering(520, ""), func(cfg *Config) { cfg.Customer = customers.Of("acme") })
	_, err := f.Gift(t.Context(), 1)
	require.Equal(t, "virtuous_5xx", fault.CodeOf(err))
	require.Len(t, f.got(), 2)
}

type countingTransport struct {
	requests atomic.Int32
	status   atomic.Int32
	during   func()
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	if c.during != nil {
		c.during()
	}
	return &http.Response{StatusCode: int(c.status.Load()), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestOpenBreakerLetsOneRequestThroughAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := &countingTransport{}
		transport.status.Store(500)
		client, err := New(Config{BaseURL: "http://virtuous.example", Key: testKey, Transport: transport, Attempts: 1})
		require.NoError(t, err)
		for range 10 {
			_, err := client.Gift(t.Context(), 1)
			require.ErrorIs(t, err, ErrUnavailable)
		}
		require.EqualValues(t, 5, transport.requests.Load())
		time.Sleep(30*time.Second + time.Millisecond) //nolint:forbidigo // the bubble's clock
		for range 2 {
			_, err := client.Gift(t.Context(), 1)
			require.ErrorIs(t, err, ErrUnavailable)
		}
		require.EqualValues(t, 6, transport.requests.Load(), "one request, and open again")
		time.Sleep(30*time.Second + time.Millisecond) //nolint:forbidigo // the bubble's clock
		ctx, cancel := context.WithCancel(t.Context())
		transport.during = cancel
		_, err = client.Gift(ctx, 1)
		require.ErrorIs(t, err, ErrUnavailable, "its caller gave up: another request may find out")
		transport.during = nil
		transport.status.Store(404)
		for range 2 {
			_, err := client.Gift(t.Context(), 1)
			require.ErrorIs(t, err, ErrNotFound)
		}
		require.EqualValues(t, 9, transport.requests.Load())
	})
}
