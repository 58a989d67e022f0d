package dev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rollcall.dev/pkg/localserver"
)

const (
	firstPause   = time.Second
	longestPause = 15 * time.Second
	// A child that ran this long did not end for the reason of the time before: the pauses begin anew.
	settledAfter = time.Minute
	// Every service promises to end within this time of a SIGTERM.
	stopWithin  = 25 * time.Second
	hurryWithin = time.Second
)

// program is what a child runs, and how.
type program struct {
	name string
	path string
	args []string
	env  []string
	// address is where the child is to serve its health, asked at each start: a port may be gone by then.
	address func() (string, error)
	log     *logFile
	// held is a file that the child keeps open, and with it the lock on the file.
	held *os.File
	// pauses between two starts; 0 means the usual.
	first, longest time.Duration
	tell           func(format string, values ...any)
}

// child is a program that is kept running until stop.
type child struct {
	program
	hurry    <-chan struct{}
	stopping chan struct{}
	stopOnce sync.Once
	ended    chan struct{}

	mu      sync.Mutex
	serving string
	deaths  int
	last    error
}

// keepRunning starts a program, and again whenever it ends by itself. When hurry is closed, stop has less patience.
func keepRunning(p program, hurry <-chan struct{}) *child {
	if p.first == 0 {
		p.first, p.longest = firstPause, longestPause
	}
	c := &child{program: p, hurry: hurry, stopping: make(chan struct{}), ended: make(chan struct{})}
	go c.keep()
	return c
}

func (c *child) keep() {
	defer close(c.ended)
	pauses := &backoff.ExponentialBackOff{InitialInterval: c.first, Multiplier: 2, MaxInterval: c.longest}
	pauses.Reset()
	for {
		began := time.Now()
		process, err := c.start()
		if err == nil {
			select {
			case <-process.Done():
				err = process.Wait()
			case <-c.stopping:
				c.end(process)
				return
			}
		}
		if time.Since(began) > settledAfter {
			pauses.Reset()
		}
		pause := pauses.NextBackOff()
		c.died(err)
		select { // a stop that came with the death is no reason for words
		case <-c.stopping:
			return
		default:
		}
		c.tell("%s ended by itself (%s); it starts again in %s", c.name, reason(err), pause.Round(time.Millisecond))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.stopping:
			timer.Stop()
			return
		}
	}
}

func (c *child) start() (*localserver.Child, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.path, c.args...) //nolint:gosec,noctx // our own program; it ends by signals, see end
	cmd.Env = slices.Concat(c.env, []string{"HTTP_ADDR=" + address})
	cmd.Stdout, cmd.Stderr = c.log.writer, c.log.writer
	if c.held != nil {
		cmd.ExtraFiles = []*os.File{c.held}
	}
	// Should we be killed, the kernel asks it to end as we would have done.
	process, err := localserver.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = address
	return process, nil
}

func (c *child) died(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = ""
	c.deaths++
	c.last = err
}

// health is where the child serves now, "" when it does not run, with how often and how it has died.
func (c *child) health() (address string, deaths int, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serving, c.deaths, c.last
}

// stop asks the child to end and returns when it has; after 25 s, or 1 s when hurry is closed, it is killed.
func (c *child) stop() {
	c.stopOnce.Do(func() { close(c.stopping) })
	<-c.ended
}

// end ends a process: politely, then not.
func (c *child) end(process *localserver.Child) {
	_ = process.Signal(syscall.SIGTERM) // the only error is that it has ended
	_ = process.Signal(syscall.SIGCONT) // one that somebody stopped could not hear it
	patience := time.NewTimer(stopWithin)
	defer patience.Stop()
	for hurry := c.hurry; ; {
		select {
		case <-process.Done():
			return
		case <-hurry:
			hurry = nil
			patience.Reset(hurryWithin)
		case <-patience.C:
			c.tell("%s does not end: it is killed", c.name)
			_ = process.SignalGroup(syscall.SIGKILL) // as above
			<-process.Done()
			return
		}
	}
}

// reason is how a process ended, in a few words.
func reason(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "exit status 0"
	case errors.As(err, &exit):
		return strings.TrimSpace(exit.Error())
	default:
		return err.Error()
	}
}
