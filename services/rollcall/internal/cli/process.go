package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"

	"rollcall.dev/pkg/backoff"
)

// Process holds what a command line gets from its process. Tests pass their own.
type Process struct {
	Args    []string // without the program's name
	Environ []string // NAME=value
	Login   string   // user@host of the operating system

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Whether the stream is a terminal: only then is there a prompt, or a live bar.
	StdinTerminal, StdoutTerminal, StderrTerminal bool

	// ReadSecretFunc reads a line from the terminal without showing it.
	ReadSecretFunc func(ctx context.Context) (string, error)
	// WaitFunc waits, or returns early with the cause of ctx's end.
	WaitFunc func(ctx context.Context, wait time.Duration) error
}

// ThisProcess returns the real process.
func ThisProcess() Process {
	return Process{
		Args: os.Args[1:], Environ: os.Environ(), Login: login(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTerminal: isTerminal(os.Stdin), StdoutTerminal: isTerminal(os.Stdout), StderrTerminal: isTerminal(os.Stderr),
		ReadSecretFunc: readSecret, WaitFunc: backoff.Sleep,
	}
}

// login returns the operating system's names of the user and of this machine, as far as it has them.
func login() string {
	name := "unknown"
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

func isTerminal(file *os.File) bool {
	return isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd())
}

// readSecret also ends with ctx: the signal handler has replaced the usual effect of Ctrl-C, and the terminal must echo
// again.
func readSecret(ctx context.Context) (string, error) {
	terminal := int(os.Stdin.Fd())
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	secret, err := await(ctx, func() ([]byte, error) { return term.ReadPassword(terminal) })
	if ctx.Err() != nil {
		_ = term.Restore(terminal, before) // nothing else can be done for a terminal that went away
	}
	return string(secret), err
}

var errInterrupted = errors.New("interrupted")

// await ends with ctx although read, which waits for a person, does not. The goroutine of read is left behind, because the
// process is about to exit.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := read()
		answers <- answer{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, errInterrupted
	case got := <-answers:
		return got.value, got.err
	}
}

// readLine reads one line and not a byte more. The last line may lack its newline.
func readLine(from io.Reader) (string, error) {
	var line bytes.Buffer
	one := make([]byte, 1)
	for {
		n, err := from.Read(one)
		if n == 1 && one[0] == '\n' {
			return strings.TrimSuffix(line.String(), "\r"), nil
		}
		line.Write(one[:n])
		if err == io.EOF && line.Len() > 0 {
			return line.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// output is a stream that keeps its first error, so that a full disk or a closed pipe leads to an exit status and not to half
// a document without an error. NATS's callbacks write from other goroutines.
type output struct {
	mu  sync.Mutex
	to  io.Writer
	err error
}

// Write forwards p until a write has failed.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.to.Write(p)
	o.err = err
	return n, err
}

func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
