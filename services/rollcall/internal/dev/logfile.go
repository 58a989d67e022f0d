package dev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	logKeptUpTo = 16 << 20 // bytes; then it goes to <name>.log.old, and what was there before is lost
	followEvery = 50 * time.Millisecond
	tailBytes   = 4 << 10
)

// logFile takes a child's output and hands it to the screen. The child writes to the file itself and not to a
// pipe of ours: it can then finish its work and say so when we are killed, and a terminal that was stopped
// (Ctrl-S) holds no service up.
type logFile struct {
	path    string
	writer  *os.File // what the children get
	reader  *os.File
	limit   int64
	over    chan struct{}
	reading sync.WaitGroup
}

// openLogFile opens the file at path and shows what is appended to it from now on.
func openLogFile(path string, limit int64, shown *lineWriter) (*logFile, error) {
	writer, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // our own folder
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	reader, err := os.Open(path) //nolint:gosec // our own folder
	if err == nil {
		_, err = reader.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), writer.Close())
	}
	l := &logFile{path: path, writer: writer, reader: reader, limit: limit, over: make(chan struct{})}
	l.reading.Go(func() { l.follow(shown) })
	return l, nil
}

func (l *logFile) follow(shown *lineWriter) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.catchUp(shown)
		case <-l.over:
			l.catchUp(shown)
			shown.finish()
			return
		}
	}
}

// catchUp shows what is new. An error in reading a log leaves the screen behind and harms nothing else.
func (l *logFile) catchUp(shown *lineWriter) {
	if _, err := io.Copy(shown, l.reader); err != nil {
		return
	}
	if at, err := l.reader.Seek(0, io.SeekCurrent); err == nil && at > l.limit {
		l.turnOver()
	}
}

// turnOver copies the file away and empties it; the child goes on writing at its new end. A line written in
// between is lost.
func (l *logFile) turnOver() {
	old, err := os.OpenFile(l.path+".old", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, err = l.reader.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(old, l.reader)
	}
	if err = errors.Join(err, old.Close()); err == nil && l.writer.Truncate(0) == nil {
		_, _ = l.reader.Seek(0, io.SeekStart) // a regular file can always be rewound
	}
}

// tail is the end of the file: what a child said before it ended.
func (l *logFile) tail(lines int) string {
	file, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // it was only read
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, tailBytes))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// close shows the rest and closes the file. The children have ended.
func (l *logFile) close() error {
	close(l.over)
	l.reading.Wait()
	return errors.Join(l.writer.Close(), l.reader.Close())
}
