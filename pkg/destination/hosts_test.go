package destination_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/testkit"
)

// shared is a host that many customers share; the test sets each customer's result.
type shared struct {
	clock    *testkit.Clock
	hosts    *destination.Hosts
	answers  map[string]error
	requests int
	takes    time.Duration // duration of a request
	deadline time.Duration // of the last request when it was sent; 0: none
}

func newShared() *shared {
	s := &shared{clock: testkit.NewClock(time.Time{}), answers: map[string]error{}}
	s.hosts = destination.NewHosts(destination.HostsConfig{Now: s.clock.Now})
	return s
}

func (s *shared) Upsert(ctx context.Context, record destination.Record) (destination.Result, error) {
	s.requests++
	s.clock.Advance(s.takes)
	s.deadline = 0
	if at, limited := ctx.Deadline(); limited {
		s.deadline = time.Until(at)
	}
	return destination.Result{}, s.answers[record.ExternalID]
}

func (s *shared) Delete(ctx context.Context, externalUserID string) error {
	_, err := s.Upsert(ctx, destination.Record{ExternalID: externalUserID})
	return err
}

var errSilence = fault.Unknown("destination_timeout", destination.NoAnswer(errors.New("no answer in time")))

const hostKey = "https://crm.example:443"

// write writes a record of a customer and returns how many requests that made.
func (s *shared) write(ctx context.Context, customer string) (requests int, err error) {
	before := s.requests
	guard := destination.NewGuard(s, destination.GuardConfig{
		Key: customer, Customer: customer, Host: hostKey, Hosts: s.hosts,
		Timer: func(time.Duration) <-chan time.Time {
			now := make(chan time.Time, 1)
			now <- time.Time{}
			return now
		},
	})
	_, err = guard.Upsert(ctx, destination.Record{ExternalID: customer})
	return s.requests - before, err
}

func (s *shared) silence(customers ...string) {
	for _, customer := range customers {
		s.answers[customer] = errSilence
	}
}

func TestHostThatAnswersNoneOfThreeCustomersIsProbedByOneRequest(t *testing.T) {
	t.Parallel()
	s := newShared()
	s.silence("a", "b", "c", "d")
	for i, customer := range []string{"a", "b", "c", "d", "a"} {
		requests, err := s.write(t.Context(), customer)
		switch i {
		case 0, 1:
			require.Equal(t, 3, requests, "one or two customers must not open the host")
			require.NotErrorIs(t, err, destination.ErrHostSilent)
		case 2:
			require.Equal(t, 1, requests, "the third customer must open the host and end the attempts")
		default:
			require.Zero(t, requests)
			require.ErrorIs(t, err, destination.ErrHostSilent)
			require.True(t, destination.Retryable(err))
		}
	}
	require.Equal(t, 10*time.Second, s.hosts.Silent(hostKey))

	for _, first := range []string{"d", "b"} {
		s.clock.Advance(10 * time.Second)
		require.Zero(t, s.hosts.Silent(hostKey))
		requests, _ := s.write(t.Context(), first)
		require.Equal(t, 1, requests)
		require.LessOrEqual(t, s.deadline, 5*time.Second)
		require.Positive(t, s.deadline)
		for _, customer := range []string{"a", "b", "c", "d"} {
			requests, err := s.write(t.Context(), customer)
			require.Zero(t, requests)
			require.ErrorIs(t, err, destination.ErrHostSilent)
		}
	}

	s.clock.Advance(10 * time.Second)
	s.answers = map[string]error{}
	for _, customer := range []string{"d", "a", "b", "c"} {
		requests, err := s.write(t.Context(), customer)
		require.NoError(t, err)
		require.Equal(t, 1, requests, "the first answer must close the host for all")
	}
}

func TestHostThatAnswersOneCustomerDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := newShared()
	s.silence("a", "b", "c", "d")
	opened := func() bool { return s.hosts.Silent(hostKey) > 0 }
	for range 20 {
		_, _ = s.write(t.Context(), "a")
	}
	require.False(t, opened(), "one customer's dead path must not open the host")
	for range 10 {
		for _, customer := range []string{"answered", "a", "b", "c", "d"} {
			_, _ = s.write(t.Context(), customer)
			require.False(t, opened())
		}
		s.clock.Advance(50 * time.Second)
	}
	s.clock.Advance(10 * time.Second) // the last answer came a minute ago
	_, _ = s.write(t.Context(), "a")
	_, _ = s.write(t.Context(), "b")
	require.False(t, opened(), "failures a minute ago must not count")
	_, _ = s.write(t.Context(), "c")
	require.True(t, opened())
}

func TestHangingRequestIsNotRetriedUnlessHostAnswersOthers(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		takes    time.Duration
		answers  bool
		requests int
	}{
		{takes: 10 * time.Second, requests: 1}, // nothing is known about the host, and three attempts take half a minute
		{takes: 10 * time.Second, answers: true, requests: 3},
		{takes: time.Millisecond, requests: 3}, // a refused connection: the server may be starting
	} {
		s := newShared()
		s.silence("a")
		if one.answers {
			_, err := s.write(t.Context(), "answered")
			require.NoError(t, err)
		}
		s.takes = one.takes
		requests, err := s.write(t.Context(), "a")
		require.True(t, destination.IsNoAnswer(err))
		require.Equal(t, one.requests, requests, "%+v", one)
	}
}

func TestEveryStatusIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{
		nil, fault.Unknown("destination_5xx", errors.New("503")), destination.ErrAuth, destination.ErrRedirect, destination.ErrUnclear,
		destination.NewRejection(422, ""), fault.Throttled("destination_throttled", time.Hour, errors.New("429")),
	} {
		s := newShared()
		s.silence("a", "b", "c", "d")
		s.answers["answered"] = answer
		_, _ = s.write(t.Context(), "answered")
		for _, customer := range []string{"a", "b", "c", "d"} {
			_, _ = s.write(t.Context(), customer)
		}
		require.Zero(t, s.hosts.Silent(hostKey), "after %v", answer)
	}
	s := newShared()
	for _, customer := range []string{"a", "b", "c", "d"} {
		s.answers[customer] = fault.Unknown("destination_5xx", errors.New("503"))
		_, _ = s.write(t.Context(), customer)
	}
	require.Zero(t, s.hosts.Silent(hostKey))
}

func TestHostKeyIsSchemeNameAndPort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://CRM.example./a/b":    "https://crm.example:443",
		"https://crm.example:443/c":   "https://crm.example:443",
		"http://crm.example/a":        "http://crm.example:80",
		"https://crm.example:8443/a":  "https://crm.example:8443",
		"http://[2001:db8::1]:8080/a": "http://2001:db8::1:8080",
		"://":                         "",
	} {
		require.Equal(t, want, destination.HostKey(raw), raw)
	}
}

// blocked answers no request, and records the time limit of each; 0 is no limit.
type blocked struct{ limits []time.Duration }

func (b *blocked) Upsert(ctx context.Context, _ destination.Record) (destination.Result, error) {
	limit := time.Duration(0)
	if at, limited := ctx.Deadline(); limited {
		limit = time.Until(at).Round(time.Second)
	}
	b.limits = append(b.limits, limit)
	return destination.Result{}, context.DeadlineExceeded
}

func (b *blocked) Delete(ctx context.Context, _ string) error {
	_, err := b.Upsert(ctx, destination.Record{})
	return err
}

func TestProbeIsOneAttemptOfFiveSeconds(t *testing.T) {
	t.Parallel()
	dest := &blocked{}
	guard := destination.NewGuard(dest, destination.GuardConfig{Key: "acme", Customer: "acme", Timer: func(time.Duration) <-chan time.Time {
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}})
	_, err := guard.Upsert(destination.AsProbe(t.Context()), destination.Record{})
	require.True(t, destination.IsNoAnswer(err))
	require.Equal(t, "destination_timeout", fault.CodeOf(err))
	require.Equal(t, []time.Duration{5 * time.Second}, dest.limits)

	_, err = guard.Upsert(t.Context(), destination.Record{})
	require.Error(t, err)
	require.Equal(t, []time.Duration{5 * time.Second, 0, 0, 0}, dest.limits, "any other write makes three attempts with the destination's own timeout")
}
