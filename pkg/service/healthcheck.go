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
