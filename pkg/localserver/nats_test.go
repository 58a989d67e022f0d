package localserver

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestRestartedNATSServerKeepsItsStreams(t *testing.T) {
	t.Parallel()
	cfg := NATSConfig{StoreDir: t.TempDir(), SyncAlways: true, ServerName: "ours", LogFile: filepath.Join(t.TempDir(), "nats.log")}
	first := startNATS(t, cfg)
	publish(t, first, "kept", "still here")
	cfg.Port = first.Port()
	first.Shutdown()
	first.Shutdown()

	second := startNATS(t, cfg)

	require.Equal(t, first.URL(), second.URL())
	require.NotEqual(t, first.ID(), second.ID())
	require.Equal(t, "still here", read(t, second, "kept"))
	log, err := os.ReadFile(cfg.LogFile)
	require.NoError(t, err)
	require.Contains(t, string(log), "Server is ready")
}

func TestJetStreamKeyEncryptsMessagesInFiles(t *testing.T) {
	t.Parallel()
	open := NATSConfig{StoreDir: t.TempDir()}
	server := startNATS(t, open)
	publish(t, server, "clear", "some secret words")
	server.Shutdown()
	require.True(t, inFiles(t, open.StoreDir, "some secret words"), "without a key the words must be found, else the search does not work")

	sealed := NATSConfig{StoreDir: t.TempDir(), JetStreamKey: "a key for this test"}
	server = startNATS(t, sealed)
	publish(t, server, "sealed", "some secret words")
	server.Shutdown()
	require.False(t, inFiles(t, sealed.StoreDir, "some secret words"))

	require.Equal(t, "some secret words", read(t, startNATS(t, sealed), "sealed"))
}

func TestUsedPortIsAnErrorAndDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	first := startNATS(t, NATSConfig{StoreDir: t.TempDir()})

	_, err := StartNATS(NATSConfig{StoreDir: t.TempDir(), Port: first.Port(), LogFile: filepath.Join(t.TempDir(), "nats.log")})

	require.ErrorContains(t, err, "address already in use")
}

func TestUnusableStoreDirIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	_, err := StartNATS(NATSConfig{StoreDir: filepath.Join(file, "store")})
	require.Error(t, err)
	_, err = StartNATS(NATSConfig{StoreDir: t.TempDir(), LogFile: filepath.Join(file, "log")})
	require.Error(t, err)
	_, err = StartNATS(NATSConfig{})
	require.Error(t, err)
}

func TestMessageOverOneMebibyteIsRejected(t *testing.T) {
	t.Parallel()
	conn := connectNATS(t, startNATS(t, NATSConfig{StoreDir: t.TempDir()}))
	require.NoError(t, conn.Publish("s", make([]byte, 1<<20)))
	require.ErrorIs(t, conn.Publish("s", make([]byte, 1<<20+1)), nats.ErrMaxPayload)
}

func startNATS(t *testing.T, cfg NATSConfig) *NATS {
	t.Helper()
	server, err := StartNATS(cfg)
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	return server
}

func connectNATS(t *testing.T, server *NATS) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	conn, err := nats.Connect(server.URL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		<-closed
	})
	return conn
}

func publish(t *testing.T, server *NATS, subject, text string) {
	t.Helper()
	js, err := jetstream.New(connectNATS(t, server))
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: subject, Subjects: []string{subject}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), subject, []byte(text))
	require.NoError(t, err)
}

func read(t *testing.T, server *NATS, subject string) string {
	t.Helper()
	js, err := jetstream.New(connectNATS(t, server))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), subject)
	require.NoError(t, err)
	msg, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	return string(msg.Data)
}

func inFiles(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	}))
	return found
}
