package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
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
func (h *health) serve(settings config.Config, registry *prometheus.Registry, logger *zap.Logger) (string, func() error, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", settings.HTTPAddr)
	if err != nil {
		return "", nil, fmt.Errorf("listen on HTTP_ADDR: %w", err)
	}
	mux := http.NewServeMux()
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
		problems = append(problems, fmt.Errorf("NATS: the streams have taken no message for %s", refused.Round(time.Second)))
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
