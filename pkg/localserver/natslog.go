package localserver

import (
	"fmt"
	"io"
	"log"
	"os"
	"sync"
)

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
