package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/testkit"
)

// asServiceVariable makes this test binary, when one of its own tests starts it, run as a service of that name.
const asServiceVariable = "SERVICE_TEST_NAME"

func TestMain(m *testing.M) {
	if name := os.Getenv(asServiceVariable); name != "" {
		os.Exit(Main(name, func(ctx context.Context, service *Service) error {
			service.Ready()
			<-ctx.Done()
			return nil
		}))
	}
	if os.Getenv(asRootlessVariable) != "" {
		if knowsNoAuthority() {
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m)
}

const soon = 20 * time.Second

var errOfTheWork = errors.New("the work cannot go on")

// fixture is what a service needs: a server with the streams, a database with the schema, and settings.
type fixture struct {
	nats     *testkit.NATSServer
	settings config.Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{nats: testkit.NATS(t)}
	f.settings = settingsFor(t, f.nats.URL, testkit.Database(t))
	require.NoError(t, bus.Ensure(t.Context(), f.nats.JetStream(t), 1, f.settings.ClaimTimeout))
	return f
}

func settingsFor(t *testing.T, natsURL, databaseURL string) config.Config {
	t.Helper()
	settings, err := config.Load([]string{
		"NATS_URL=" + natsURL, "DATABASE_URL=" + databaseURL, "HTTP_ADDR=" + testkit.FreeAddr(t),
		"SECRETS_URL=dev:" + filepath.Join(t.TempDir(), "key"),
	})
	require.NoError(t, err)
	return settings
}

// serving is a running service.
type serving struct {
	t        *testing.T
	settings config.Config
	logs     *observer.ObservedLogs
	stop     context.CancelFunc
	ended    chan struct{}
	err      error
}

// serve starts a service with the given work, which is ready at once.
func serve(t *testing.T, name string, settings config.Config, run Run) *serving {
	t.Helper()
	return serveUnready(t, name, settings, func(ctx context.Context, service *Service) error {
		service.Ready()
		return run(ctx, service)
	})
}

// serveUnready starts a service whose run calls Ready itself.
func serveUnready(t *testing.T, name string, settings config.Config, run Run) *serving {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	ctx, stop := context.WithCancel(context.Background())
	s := &serving{t: t, settings: settings, logs: logs, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = Serve(ctx, name, settings, zap.New(core), run)
	}()
	t.Cleanup(func() { stop(); <-s.ended })
	return s
}

// untilStopped returns a Run that ends with its context; it passes the service to the test.
func untilStopped(started chan<- *Service) Run {
	return func(ctx context.Context, service *Service) error {
		started <- service
		<-ctx.Done()
		return nil
	}
}

// serveIdle starts a service that waits to be stopped, and returns when it runs.
func serveIdle(t *testing.T, name string, settings config.Config) (*serving, *Service) {
	t.Helper()
	started := make(chan *Service, 1)
	s := serve(t, name, settings, untilStopped(started))
	select {
	case service := <-started:
		return s, service
	case <-s.ended:
		require.NoError(t, s.err)
		require.FailNow(t, "the service ended by itself")
	case <-time.After(soon):
		require.FailNow(t, "the service has not started")
	}
	return nil, nil
}

// result returns the error of Serve.
func (s *serving) result() error {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.err
	case <-time.After(soon):
		require.FailNow(s.t, "Serve has not returned")
		return nil
	}
}

// get sends a request to the service's HTTP address.
func (s *serving) get(path string) (status int, body string) {
	s.t.Helper()
	status, body, err := httpGet(s.t.Context(), "http://"+s.settings.HTTPAddr+path)
	require.NoError(s.t, err)
	return status, body
}

func httpGet(ctx context.Context, url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// becomes waits until a path answers with the status.
func (s *serving) becomes(path string, want int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		status, _, err := httpGet(s.t.Context(), "http://"+s.settings.HTTPAddr+path)
		return err == nil && status == want
	}, soon, 10*time.Millisecond)
}

// streamMessages returns how many messages a stream holds.
func streamMessages(t *testing.T, js jetstream.JetStream, name string) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	return stream.CachedInfo().State.Msgs
}

// once returns a channel and a function whose first call closes it.
func once() (<-chan struct{}, func()) {
	done := make(chan struct{})
	return done, sync.OnceFunc(func() { close(done) })
}
