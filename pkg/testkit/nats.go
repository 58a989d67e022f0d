package testkit

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
)

// natsPortTries is how often a start tries another port if another process took the free port first.
const natsPortTries = 5

// StreamsVariable names the environment variable with the folder in which the tests' NATS servers keep their files; by default each test's
// temporary folder. In memory, a server's streams are made in a third of the computing time.
const StreamsVariable = "ROLLCALL_TEST_STREAMS"

const backWithin = 15 * time.Second

// readTries is how often FilesWith reads all files if one of them disappears meanwhile.
const readTries = 100

// NATSServer is the NATS server with JetStream of one test.
type NATSServer struct {
	// URL is the server's address, which stays the same after a restart.
	URL string
	// StoreDir is the folder with JetStream's files.
	StoreDir string

	cfg     localserver.NATSConfig
	running *localserver.NATS

	mu    sync.Mutex
	conns []*nats.Conn
}

// NATSOption changes the server before it starts.
type NATSOption func(*localserver.NATSConfig)

// WithJetStreamKey encrypts the streams at rest.
func WithJetStreamKey(key string) NATSOption {
	return func(cfg *localserver.NATSConfig) { cfg.JetStreamKey = key }
}

// WithSyncAlways makes the server call fsync before it acknowledges a message. Tests are faster without it.
func WithSyncAlways() NATSOption {
	return func(cfg *localserver.NATSConfig) { cfg.SyncAlways = true }
}

// WithMaxStore limits what streams may use or reserve.
func WithMaxStore(bytes int64) NATSOption {
	return func(cfg *localserver.NATSConfig) { cfg.MaxStore = bytes }
}

// WithLogFile writes the server's log to a file.
func WithLogFile(path string) NATSOption {
	return func(cfg *localserver.NATSConfig) { cfg.LogFile = path }
}

// NATS starts a server for this test, which ends with the test.
func NATS(t testing.TB, opts ...NATSOption) *NATSServer {
	t.Helper()
	s := &NATSServer{cfg: localserver.NATSConfig{StoreDir: storeDir(t)}}
	for _, opt := range opts {
		opt(&s.cfg)
	}
	s.StoreDir = s.cfg.StoreDir
	if s.cfg.LogFile == "" {
		s.cfg.LogFile = filepath.Join(t.TempDir(), "nats.log")
	}
	t.Cleanup(func() { showWarnings(t, s.cfg.LogFile) })
	s.startOnFreePort(t)
	s.URL = s.running.URL()
	t.Cleanup(s.Stop)
	return s
}

func storeDir(t testing.TB) string {
	t.Helper()
	parent := os.Getenv(StreamsVariable)
	if parent == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "") //nolint:usetesting // t.TempDir is not in this folder
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) }) //nolint:gosec // G703: the folder is make's
	return dir
}

// showWarnings adds the server's warnings and errors to a failed test: the answers to clients often leave the cause out.
func showWarnings(t testing.TB, file string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	content, err := os.ReadFile(file) //nolint:gosec // G304: the log of this test's server
	if err != nil {
		t.Logf("the log of NATS cannot be read: %v", err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, "[WRN]") || strings.Contains(line, "[ERR]") {
			t.Logf("NATS: %s", line)
		}
	}
}

// startOnFreePort chooses the port itself instead of leaving it to the system: see localserver.FreePort.
func (s *NATSServer) startOnFreePort(t testing.TB) {
	t.Helper()
	var err error
	for range natsPortTries {
		s.cfg.Port, err = localserver.FreePort()
		require.NoError(t, err)
		if s.running, err = localserver.StartNATS(s.cfg); err == nil {
			return
		}
	}
	require.NoError(t, err)
}

// FilesWith returns the paths of JetStream's files that contain one of the texts, once for each text that they contain.
// The server may run: it replaces files by renaming, and if one disappears meanwhile, all files are read again.
func (s *NATSServer) FilesWith(t testing.TB, texts ...[]byte) []string {
	t.Helper()
	var found []string
	var err error
	for range readTries {
		found = nil
		err = filepath.WalkDir(s.StoreDir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path) //nolint:gosec // G304: a file of this test's server
			for _, text := range texts {
				if bytes.Contains(content, text) {
					found = append(found, path)
				}
			}
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	require.NoError(t, err)
	return found
}

// Stop shuts the server down; its streams stay in StoreDir. A second call does nothing.
func (s *NATSServer) Stop() { s.running.Shutdown() }

// Restart stops the server if it runs, and starts it again with the same port and streams. It returns when the
// connections that Conn and JetStream made have reconnected.
func (s *NATSServer) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	running, err := localserver.StartNATS(s.cfg)
	require.NoError(t, err)
	s.running = running
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		require.True(t, s.reconnected(conn), "a connection did not come back after the restart")
	}
}

// reconnected waits until a connection has reached the restarted server. A message sent earlier would be lost,
// because the client has not yet noticed that the old server is gone.
func (s *NATSServer) reconnected(conn *nats.Conn) bool {
	deadline := time.NewTimer(backWithin)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !conn.IsClosed() && conn.ConnectedServerId() != s.running.ID() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

// Conn returns a connection that reconnects quickly and without limit, and is closed with the test.
func (s *NATSServer) Conn(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	all := []nats.Option{
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
	}
	all = append(all, opts...)
	all = append(all, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	conn, err := nats.Connect(s.URL, all...)
	require.NoError(t, err)
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.mu.Unlock()
	t.Cleanup(func() {
		conn.Close()
		<-closed
	})
	return conn
}

// JetStream returns a JetStream client on a connection of its own.
func (s *NATSServer) JetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(s.Conn(t))
	require.NoError(t, err)
	return js
}

// Stream creates a stream for this test.
func (s *NATSServer) Stream(t testing.TB, cfg jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := s.JetStream(t).CreateStream(ctx, cfg)
	require.NoError(t, err)
	return stream
}
