package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	writeTimeout      = 15 * time.Minute // above the longest delay that a fault may have
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	drainTimeout      = 5 * time.Second
)

// run serves until the context ends and keeps the state, if it is to be kept.
func run(ctx context.Context, opts options, log *zap.Logger) error {
	made, err := assemble(opts, realClock(), log)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", opts.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = listener.Close() }() // the server has closed it, if it came to that
	serving := func(ctx context.Context) error { return serve(ctx, listener, made.handler, log) }
	if made.keeper == nil {
		err = serving(ctx)
	} else {
		err = made.keeper.While(ctx, serving)
	}
	if err != nil {
		return err
	}
	log.Info("sandbox stopped")
	return nil
}

// serve answers requests until the context ends, then lets those in hand finish for a few seconds.
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
		err = server.Close() // a client that still waits, for a delay of ten minutes perhaps, loses the connection
	}
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
