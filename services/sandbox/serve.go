package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	writeTimeout      = 15 * time.Minute // above the longest delay that a fault may have
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	drainTimeout      = 5 * time.Second
)

// run serves until the context ends, and saves the state if there is a state file.
func run(ctx context.Context, opts options, log *zap.Logger) error {
	made, err := newSandbox(opts, machineTime(), log)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", opts.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = listener.Close() }() // the server may have closed it before
	serving := func(ctx context.Context) error {
		delivering, stop := context.WithCancel(context.WithoutCancel(ctx)) // requests may still be answered after the context's end
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			made.sender.Run(delivering)
		}()
		err := serve(ctx, listener, made.handler, log)
		stop()
		<-stopped
		return err
	}
	if made.state == nil {
		err = serving(ctx)
	} else {
		err = made.state.While(ctx, serving)
	}
	if err != nil {
		return err
	}
	log.Info("sandbox stopped")
	return nil
}

// serve answers requests until the context ends. Then requests under way have a few seconds to finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *zap.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(log),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("sandbox listening", zap.String("addr", listener.Addr().String()))

	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		err = server.Close() // a client that still waits, for example for a delay of ten minutes, loses the connection
	}
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func newLogger(level zapcore.Level, format string, out io.Writer) *zap.Logger {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if format == "console" {
		encoder = zapcore.NewConsoleEncoder(config)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level)
	return zap.New(core).Named("sandbox")
}

// logged writes each request's method and path to the log, at debug level. Query, token and body are left out: they
// may name people.
func logged(log *zap.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Debug("request", zap.String("method", r.Method), zap.String("path", r.URL.Path))
		next.ServeHTTP(w, r)
	})
}
