package localserver

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	natsMaxPayload  = 1 << 20
	natsStartWithin = 30 * time.Second
)

// NATSConfig says where the NATS server keeps its streams and how it listens.
type NATSConfig struct {
	// StoreDir is the folder for JetStream's files; it is created if missing. Required.
	StoreDir string
	// Host is the address to listen on; "" means 127.0.0.1.
	Host string
	// Port is the port to listen on; 0 means a free one.
	Port int
	// JetStreamKey encrypts the streams at rest; "" leaves them unencrypted. A store can only be opened with the key
	// that it was created with.
	JetStreamKey string
	// SyncAlways makes JetStream call fsync before it acknowledges a message, so that an acknowledged message
	// survives a power cut. Without it the last two minutes may be lost.
	SyncAlways bool
	// MaxStore is how many bytes streams may use or reserve; 0 lets the server choose by the size of the disk.
	MaxStore int64
	// ServerName is the name that clients and logs see; "" lets the server choose.
	ServerName string
	// LogFile is the file for the server's log; "" discards it.
	LogFile string
}

// NATS is a running NATS server.
type NATS struct {
	server *server.Server
	log    *natsLog
	port   int
}

// StartNATS starts a NATS server with JetStream inside this process and returns when it accepts connections. If it is
// started again on the same StoreDir (and Port), it has the same streams. It installs no signal handler.
func StartNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.StoreDir == "" {
		return nil, errors.New("start nats: no store folder")
	}
	if err := os.MkdirAll(cfg.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("start nats: make store folder: %w", err)
	}
	log, err := newNATSLog(cfg.LogFile)
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	srv, err := server.NewServer(natsOptions(cfg))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start nats: %w", err), log.Close())
	}
	srv.SetLoggerV2(log, false, false, false)
	n := &NATS{server: srv, log: log}
	srv.Start()
	if err := n.ready(); err != nil {
		n.Shutdown()
		return nil, fmt.Errorf("start nats: %w", err)
	}
	return n, nil
}

// URL returns the address for clients, such as nats://127.0.0.1:4222.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Port returns the port that the server listens on.
func (n *NATS) Port() int { return n.port }

// ID returns the server's identity, which is new after each start.
func (n *NATS) ID() string { return n.server.ID() }

// Shutdown stops the server and returns when its files are closed. A second call does nothing.
func (n *NATS) Shutdown() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
	_ = n.log.Close() // the server has ended: there is nothing to do about an error of its log
}

func (n *NATS) ready() error {
	// Check for a fatal line first: if the port is in use, the server never becomes ready.
	if err := n.log.Fatal(); err != nil {
		return err
	}
	if !n.server.ReadyForConnections(natsStartWithin) {
		return errors.Join(fmt.Errorf("not ready within %s", natsStartWithin), n.log.Fatal())
	}
	if !n.server.JetStreamEnabled() {
		return errors.New("jetstream is not enabled")
	}
	if addr, ok := n.server.Addr().(*net.TCPAddr); ok {
		n.port = addr.Port
	}
	return nil
}

func natsOptions(cfg NATSConfig) *server.Options {
	host, port := cfg.Host, cfg.Port
	if host == "" {
		host = "127.0.0.1"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return &server.Options{
		ServerName:        cfg.ServerName,
		Host:              host,
		Port:              port,
		JetStream:         true,
		StoreDir:          cfg.StoreDir,
		JetStreamKey:      cfg.JetStreamKey,
		JetStreamMaxStore: cfg.MaxStore,
		SyncAlways:        cfg.SyncAlways,
		MaxPayload:        natsMaxPayload,
		NoSigs:            true,
	}
}

// natsLog writes the server's log to a file and keeps the first fatal line. The server's own file logger ends the
// process at a fatal line (for example if the port is in use); here StartNATS returns it as an error.
type natsLog struct {
	lines *log.Logger
	file  io.Closer

	mu    sync.Mutex
	fatal error
}

func newNATSLog(path string) (*natsLog, error) {
	if path == "" {
		return &natsLog{lines: log.New(io.Discard, "", 0)}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // G304: the log file that the caller asks for
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &natsLog{lines: log.New(file, "", log.LstdFlags|log.Lmicroseconds|log.LUTC), file: file}, nil
}

// Fatal returns the first fatal line so far as an error, nil if there is none.
func (l *natsLog) Fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

// Close closes the file; later lines are lost.
func (l *natsLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	l.lines.SetOutput(io.Discard)
	return file.Close()
}

// Fatalf is called by the server.
func (l *natsLog) Fatalf(format string, v ...any) {
	l.lines.Printf("[FTL] "+format, v...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = fmt.Errorf(format, v...)
	}
}

// Errorf is called by the server.
func (l *natsLog) Errorf(format string, v ...any) { l.lines.Printf("[ERR] "+format, v...) }

// Warnf is called by the server.
func (l *natsLog) Warnf(format string, v ...any) { l.lines.Printf("[WRN] "+format, v...) }

// Noticef is called by the server.
func (l *natsLog) Noticef(format string, v ...any) { l.lines.Printf("[INF] "+format, v...) }

// Debugf is called by the server.
func (l *natsLog) Debugf(format string, v ...any) { l.lines.Printf("[DBG] "+format, v...) }

// Tracef is called by the server. It discards the line, because traces contain payloads.
func (l *natsLog) Tracef(string, ...any) {}
