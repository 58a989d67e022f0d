package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof" // its handlers on the default mux are not served
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
)

const (
	healthTimeout = 2 * time.Second
	readTimeout   = 10 * time.Second
	// A profile of the default length takes 30 s. Package pprof rejects profiles that are longer than this.
	writeTimeout   = 90 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// health answers health requests: /livez while the process runs, /readyz and /healthz while it can work.
type health struct {
	mu      sync.Mutex
	service *Service // nil before the service is ready and once it stops
	stopped bool
}

func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return registry
}

// buildInfo is 1, with what was built as labels.
func buildInfo() prometheus.Collector {
	revision := "unknown"
	build, ok := debug.ReadBuildInfo()
	if ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_build_info", Help: "1, with the version of the program as labels.",
		ConstLabels: prometheus.Labels{"version": Version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}

// ready marks the service as ready. A service that stops does not become ready again.
func (h *health) ready(service *Service) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.service != nil {
		return false
	}
	h.service = service
	return true
}

func (h *health) stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.service, h.stopped = nil, true
}

func (h *health) working() *Service {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.service
}

// serve listens at once, so that probes are answered while the service still waits for NATS or Postgres.
func (h *health) serve(settings config.Config, mux *http.ServeMux, registry *prometheus.Registry, logger *zap.Logger) (string, func() error, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", settings.HTTPAddr)
	if err != nil {
		return "", nil, fmt.Errorf("listen on HTTP_ADDR: %w", err)
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answer(w, h.check(r.Context())) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answer(w, h.check(r.Context())) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if settings.HTTPProfiles {
		serveProfiles(mux)
	}
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: healthTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			logger.Error("health server stopped", zap.Error(err))
		}
	}()
	return listener.Addr().String(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
		defer cancel()
		err := server.Shutdown(ctx)
		<-done
		return err
	}, nil
}

func (h *health) check(ctx context.Context) error {
	service := h.working()
	if service == nil {
		return errors.New("starting or stopping")
	}
	bounded, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var problems []error
	if !service.Conn.IsConnected() {
		problems = append(problems, errors.New("NATS: not connected"))
	} else if refused := service.refused(); refused > 0 {
		problems = append(problems, fmt.Errorf("NATS: the streams have accepted no message for %s", refused.Round(time.Second)))
	}
	switch err := service.Store.Ping(bounded); {
	case errors.Is(err, store.ErrReadOnly):
		problems = append(problems, errors.New("Postgres: takes no writes"))
	case err != nil:
		problems = append(problems, errors.New("Postgres: no answer"))
	}
	return errors.Join(problems...)
}

func answer(w http.ResponseWriter, err error) {
	text := "ok\n"
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = err.Error() + "\n"
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return // the client has closed the connection
	}
}

const healthcheckTimeout = 3 * time.Second

// asksForHealth reports whether the program was started as a health check of the running service: an image with one
// static binary has no other program for that.
func asksForHealth(args []string) bool {
	return len(args) == 1 && (args[0] == "-healthcheck" || args[0] == "healthcheck")
}

// healthcheck asks the service that listens on httpAddr whether it is ready, and returns the exit status.
func healthcheck(ctx context.Context, httpAddr, name string, out io.Writer) int {
	if err := askReady(ctx, httpAddr); err != nil {
		return refuse(out, name, err)
	}
	return 0
}

func askReady(ctx context.Context, httpAddr string) (err error) {
	address, err := probeAddress(httpAddr)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(bounded, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("read HTTP_ADDR: %w", err)
	}
	// Connect directly, even if the environment names a proxy.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", response.Status)
	}
	return nil
}

// probeAddress returns the address at which a server on httpAddr can be reached: a wildcard address includes
// loopback.
func probeAddress(httpAddr string) (string, error) {
	host, port, err := net.SplitHostPort(httpAddr)
	if err != nil {
		return "", fmt.Errorf("read HTTP_ADDR: %w", err)
	}
	if port == "0" || port == "" {
		return "", errors.New("HTTP_ADDR has no fixed port: a health check needs one, such as 127.0.0.1:8080")
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// serveProfiles serves Go's profiles at the paths that `go tool pprof` uses. A heap profile contains no user's data,
// but taking one costs time, so the setting is off by default.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
