// Command sandbox stands in for VOMO, for a CRM and for Virtuous CRM+, in one process, so that rollcall can be tried and
// tested without them.
//
// VOMO is at /vomo/v1, the CRM at /crm and /crm/{tenant}, and Virtuous at /virtuous. The control API at /control makes
// organisations, sets faults, adds and removes people while a list is read, acts as Virtuous' staff, reports the requests,
// and compares VOMO with the CRM. Everything is in memory, unless there is a state file. The people of an organisation are
// invented from a seed and are the same
// on every run. The sandbox is not for real people's data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the image holds only this program

	"go.uber.org/zap"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := start(ctx, os.Args[1:], os.LookupEnv, os.Stderr)
	stop()
	os.Exit(code)
}

// start returns the exit status: 0 after a signal, 1 for a failure, 2 for invalid settings.
func start(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	if len(args) == 1 && args[0] == "-healthcheck" {
		return checkHealth(ctx, lookupEnv, stderr)
	}
	options, err := parseOptions(args, lookupEnv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "sandbox:", err) // there is nowhere else to say it
		return 2
	}
	log := newLogger(options.logLevel, options.logFormat, stderr)
	defer func() { _ = log.Sync() }() // a terminal cannot be synced and says so
	if err := run(ctx, options, log); err != nil {
		log.Error("sandbox stopped", zap.Error(err))
		return 1
	}
	return 0
}

const (
	defaultAddr   = "127.0.0.1:9090"
	healthTimeout = 3 * time.Second
)

// checkHealth asks the sandbox at HTTP_ADDR whether it is ready, and returns the exit status. The image holds only this
// program, so the container's health check has no other way to ask.
func checkHealth(ctx context.Context, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	if err := askHealth(ctx, lookupEnv); err != nil {
		_, _ = fmt.Fprintln(stderr, "sandbox: not ready:", err) // there is nowhere else to say it
		return 1
	}
	return 0
}

func askHealth(ctx context.Context, lookupEnv func(string) (string, bool)) error {
	address, given := lookupEnv("HTTP_ADDR")
	if !given || address == "" {
		address = defaultAddr
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("read HTTP_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}
