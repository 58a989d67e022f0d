package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	defaultAddr   = "127.0.0.1:9090"
	healthTimeout = 3 * time.Second
)

// checkHealth asks the sandbox that runs beside it, at its HTTP_ADDR, whether it is ready: an image that holds
// nothing but the program has no other way to be asked. It returns the exit status.
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
