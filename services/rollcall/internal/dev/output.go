package dev

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
)

const (
	nameColumn = 10
	// A longer line is shown in pieces, so that a child that never ends its line does not fill the memory.
	longestLine = 16 << 10
)

// screen prints our own lines to out and the children's lines to logs. No line is printed inside another.
type screen struct {
	mu        sync.Mutex
	out, logs io.Writer
	hideLogs  bool
	terminal  bool // out is a terminal
	outColour bool
	logColour bool
}

func newScreen(out, logs io.Writer, hideLogs bool) *screen {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	return &screen{
		out: out, logs: logs, hideLogs: hideLogs, terminal: isTerminal(out),
		outColour: isTerminal(out) && !plain, logColour: isTerminal(logs) && !plain,
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// sayf prints a line of our own.
func (s *screen) sayf(format string, values ...any) {
	s.show(fmt.Sprintf(format, values...) + "\n")
}

// show prints a text of our own unchanged.
func (s *screen) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, text) // the terminal is gone: the error cannot be shown
}

// emphasise returns the text in bold if the terminal has colours.
func (s *screen) emphasise(text string) string {
	return paint(s.outColour, color.Bold).Sprint(text)
}

// linesOf returns a writer that prints each line after the name of the child.
func (s *screen) linesOf(name string, colour color.Attribute) *lineWriter {
	return &lineWriter{screen: s, prefix: paint(s.logColour, colour).Sprintf("%-*s |", nameColumn, name) + " "}
}

func paint(wanted bool, attribute color.Attribute) *color.Color {
	c := color.New(attribute)
	// The library looks only at standard output.
	if wanted {
		c.EnableColor()
	} else {
		c.DisableColor()
	}
	return c
}

// lineWriter keeps the beginning of a line until the line is complete.
type lineWriter struct {
	screen *screen
	prefix string
	begun  []byte
}

// Write prints the complete lines. It never fails, because a closed terminal must not stop a service.
func (w *lineWriter) Write(text []byte) (int, error) {
	written := len(text)
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			w.begun = append(w.begun, text...)
			if len(w.begun) > longestLine {
				w.flush()
			}
			break
		}
		w.begun = append(w.begun, text[:end]...)
		w.flush()
		text = text[end+1:]
	}
	return written, nil
}

// finish prints an incomplete last line.
func (w *lineWriter) finish() {
	if len(w.begun) > 0 {
		w.flush()
	}
}

func (w *lineWriter) flush() {
	defer func() { w.begun = w.begun[:0] }()
	if w.screen.hideLogs {
		return
	}
	w.screen.mu.Lock()
	defer w.screen.mu.Unlock()
	_, _ = fmt.Fprintf(w.screen.logs, "%s%s\n", w.prefix, bytes.TrimRight(w.begun, "\r")) // as in show
}

const (
	logKeptUpTo = 16 << 20 // bytes; then it is moved to <name>.log.old, which is replaced
	tailEvery   = 50 * time.Millisecond
	tailBytes   = 4 << 10
)

// logFile has a child's output and prints it on the screen. The child writes to the file, not to a pipe: so it can finish
// its work if this process is killed, and a stopped terminal (Ctrl-S) blocks no service.
type logFile struct {
	path    string
	writer  *os.File // the children's output
	reader  *os.File
	limit   int64
	over    chan struct{}
	reading sync.WaitGroup
}

// openLogFile opens the file at path and prints what is appended to it from now on.
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
	l.reading.Go(func() { l.printNew(shown) })
	return l, nil
}

func (l *logFile) printNew(shown *lineWriter) {
	tick := time.NewTicker(tailEvery)
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

// catchUp prints what is new. An error only delays the screen.
func (l *logFile) catchUp(shown *lineWriter) {
	if _, err := io.Copy(shown, l.reader); err != nil {
		return
	}
	if at, err := l.reader.Seek(0, io.SeekCurrent); err == nil && at > l.limit {
		l.turnOver()
	}
}

// turnOver copies the file and empties it. The child continues at the new end. A line that is written in between is lost.
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

// tail returns the last lines of the file.
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

// close prints the rest and closes the file. The children have ended.
func (l *logFile) close() error {
	close(l.over)
	l.reading.Wait()
	return errors.Join(l.writer.Close(), l.reader.Close())
}
