package testkit

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
)

const (
	readyWithin = 60 * time.Second
	askEvery    = 20 * time.Millisecond
)

// FreeAddr returns an address of this machine that is not in use, such as 127.0.0.1:23456.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, err := localserver.FreePort()
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// WaitReady returns when url answers 200. The test fails if that takes more than a minute. The minute is for a busy
// machine: to require a faster answer, use your own deadline.
func WaitReady(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		last := ask(ctx, client, url)
		if last == nil {
			return
		}
		select {
		case <-ctx.Done():
			require.FailNow(t, fmt.Sprintf("%s is not ready: %v", url, last))
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
