package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"rollcall.dev/pkg/localserver"
)

const (
	readyWithin = time.Minute
	askEvery    = 20 * time.Millisecond
	// stopWithin is longer than any service takes to end after a SIGTERM.
	stopWithin = 30 * time.Second
	shownLog   = 4 << 10
)

// process is a running program of ours.
type process struct {
	name  string
	log   string // file with its output
	child *localserver.Child
	input io.WriteCloser
	lines io.Reader
}

// launch says how to start a process.
type launch struct {
	name, path string
	args       []string
	env        []string
	piped      bool // the caller uses its standard input and output
}

// start starts a process whose output goes to a file in dir.
func start(dir string, l launch) (*process, error) {
	p := &process{name: l.name, log: filepath.Join(dir, l.name+".log")}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", l.name, err)
	}
	defer func() { _ = out.Close() }()     // the child has its own handle
	cmd := exec.Command(l.path, l.args...) //nolint:gosec,noctx // the program is ours; signals end it, see stop
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, l.env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if l.piped {
		cmd.Stdout = nil
		lines, err := cmd.StdoutPipe()
		if err != nil {
			return nil, fmt.Errorf("listen to %s: %w", l.name, err)
		}
		if p.input, err = cmd.StdinPipe(); err != nil {
			return nil, fmt.Errorf("speak to %s: %w", l.name, err)
		}
		p.lines = lines
	}
	if p.child, err = localserver.StartChild(cmd, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("start %s: %w", l.name, err)
	}
	return p, nil
}

// stop asks the process to end and returns when it has ended.
func (p *process) stop() error {
	if p.input != nil {
		_ = p.input.Close() // the process is ending
	}
	_ = p.child.Signal(syscall.SIGTERM) // fails only if it has ended
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-p.child.Done():
		return nil
	case <-timer.C:
		_ = p.child.SignalGroup(syscall.SIGKILL) // as above
		<-p.child.Done()
		return fmt.Errorf("%s did not end within %s", p.name, stopWithin)
	}
}

// until repeats ready until it succeeds, for a minute at most.
func (p *process) until(ctx context.Context, ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.child.Done():
			return p.withLog(errors.New("it ended"))
		case <-ctx.Done():
			return p.withLog(errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}

// withLog adds the end of the process's log to an error.
func (p *process) withLog(err error) error {
	log, readErr := os.ReadFile(p.log)
	if readErr != nil {
		log = []byte("its log cannot be read")
	}
	return fmt.Errorf("%s: %w\n%s", p.name, err, log[max(0, len(log)-shownLog):])
}

// serving starts a process that serves HTTP on an address of this machine, and returns when it is ready.
func serving(ctx context.Context, dir string, l launch) (*process, string, error) {
	port, err := localserver.FreePort()
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", l.name, err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l.env = append(l.env, "HTTP_ADDR="+address)
	p, err := start(dir, l)
	if err != nil {
		return nil, "", err
	}
	err = p.until(ctx, func(ctx context.Context) error {
		return ask(ctx, http.MethodGet, "http://"+address+"/readyz", nil, nil)
	})
	if err != nil {
		return nil, "", errors.Join(err, p.stop())
	}
	return p, "http://" + address, nil
}
