package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// syncedText is a log that may be read while it is written.
type syncedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// kept is a sandbox with a state file, whose time to save comes when the test says so.
type kept struct {
	*sandbox
	pass   chan struct{}
	pauses chan time.Duration
	log    *syncedText
	stop   func() error
}

func newKept(t *testing.T, file string, args ...string) *kept {
	t.Helper()
	opts, err := parseOptions(append(args, "--state-file", file), env(nil), io.Discard)
	require.NoError(t, err)
	k := &kept{pass: make(chan struct{}), pauses: make(chan time.Duration, 100), log: &syncedText{}}
	hand := &handClock{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	made, err := assemble(opts, clock{nowFunc: hand.Now, waitFunc: k.wait}, newLogger(opts.logLevel, "json", k.log))
	require.NoError(t, err)
	server := httptest.NewServer(made.handler)
	t.Cleanup(server.Close)
	ctx, signal := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- made.keeper.While(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	k.stop = sync.OnceValue(func() error { signal(); return <-ended })
	t.Cleanup(func() { _ = k.stop() })
	k.sandbox = &sandbox{t: t, url: server.URL, clock: hand, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	return k
}

func (k *kept) wait(ctx context.Context, pause time.Duration) error {
	k.pauses <- pause
	select {
	case <-k.pass:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// period lets a period pass and returns when what was due in it is done: the next one is waited for by then.
func (k *kept) period() {
	k.pass <- struct{}{}
	k.pass <- struct{}{}
}
