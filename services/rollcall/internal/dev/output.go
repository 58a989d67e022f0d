package dev

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
)

const (
	nameColumn = 10
	// A longer line is shown in pieces: a child that never ends its line must not fill our memory.
	longestLine = 16 << 10
)

// screen is where people look: our own words on out, the children's lines on logs, never one inside another.
type screen struct {
	mu        sync.Mutex
	out, logs io.Writer
	hideLogs  bool
	terminal  bool // out is one
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

// tellf shows a line of our own.
func (s *screen) tellf(format string, values ...any) {
	s.show(fmt.Sprintf(format, values...) + "\n")
}

// show shows a text of our own as it is.
func (s *screen) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, text) // nobody looks any more: there is nowhere to tell it
}

// emphasise makes a text stand out where that is possible.
func (s *screen) emphasise(text string) string {
	return paint(s.outColour, color.Bold).Sprint(text)
}

// linesOf is a writer that shows what is written line by line, each behind the writer's name.
func (s *screen) linesOf(name string, colour color.Attribute) *lineWriter {
	return &lineWriter{screen: s, prefix: paint(s.logColour, colour).Sprintf("%-*s |", nameColumn, name) + " "}
}

func paint(wanted bool, attribute color.Attribute) *color.Color {
	c := color.New(attribute)
	// The library's own guess is about standard output alone.
	if wanted {
		c.EnableColor()
	} else {
		c.DisableColor()
	}
	return c
}

// lineWriter keeps the beginning of a line until its end has come.
type lineWriter struct {
	screen *screen
	prefix string
	begun  []byte
}

// Write shows the lines that are complete. It never fails: a screen that is gone stops no service.
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

// finish shows a last line that was never ended.
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
