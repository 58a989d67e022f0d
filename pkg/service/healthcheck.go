package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const healthcheckTimeout = 3 * time.Second

// asksForHealth says whether a service was called to look after the one that runs beside it: an image that holds
// one static binary has nothing else to ask with.
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
	// Straight to the service, whatever proxy the environment names.
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

// probeAddress is where to reach what listens on httpAddr: a wildcard listens on the loopback address too.
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
