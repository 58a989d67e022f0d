package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// supervisor keeps the children running. Children that were added together are a rank. The ranks stop in the reverse
// order: the services, which use the sandbox, before the sandbox.
type supervisor struct {
	client *http.Client
	hurry  <-chan struct{}
	ranks  [][]*child
	logs   []*logFile // of all children; closed after the last of them
}

// add starts programs as one rank.
func (s *supervisor) add(programs ...program) {
	var rank []*child
	for _, p := range programs {
		rank = append(rank, keepRunning(p, s.hurry))
	}
	s.ranks = append(s.ranks, rank)
}

// awaitReady waits until all children of the last rank are ready.
func (s *supervisor) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rank := s.ranks[len(s.ranks)-1]
	failures := make(chan error, len(rank))
	for _, c := range rank {
		go func() { failures <- c.awaitReady(ctx, s.client) }()
	}
	var first error
	for range rank {
		if err := <-failures; err != nil && first == nil {
			first = err
			cancel() // the errors of the others would only be about this cancellation
		}
	}
	return first
}

// stop ends all children, rank by rank, and closes their logs.
func (s *supervisor) stop() error {
	for _, rank := range slices.Backward(s.ranks) {
		var ending sync.WaitGroup
		for _, c := range rank {
			ending.Go(c.stop)
		}
		ending.Wait()
	}
	var problems []error
	for _, log := range s.logs {
		problems = append(problems, log.close())
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("close logs: %w", err)
	}
	return nil
}

const (
	firstPause   = time.Second
	longestPause = 15 * time.Second
	// After a child ran this long, the pauses before a restart begin at the first one again.
	settledAfter = time.Minute
	// Every service promises to end within this time of a SIGTERM.
	stopWithin  = 25 * time.Second
	hurryWithin = time.Second
)

// program is the program of a child.
type program struct {
	name string
	path string
	args []string
	env  []string
	// address returns the HTTP_ADDR of the child. It is called at each start, because a port may be taken meanwhile.
	address func() (string, error)
	log     *logFile
	// held is a locked file. The child keeps it open, and so keeps the lock.
	held *os.File
	// pauses between two starts; 0: the usual ones.
	first, longest time.Duration
	say            func(format string, values ...any)
}

// child keeps a program running until stop.
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

// keepRunning starts a program, and starts it again if it ends by itself. After hurry is closed, stop waits less.
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
		select { // an end during a stop is not reported
		case <-c.stopping:
			return
		default:
		}
		c.say("%s ended by itself (%s); it starts again in %s", c.name, reason(err), pause.Round(time.Millisecond))
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
	cmd := exec.Command(c.path, c.args...) //nolint:gosec,noctx // our own program; end sends it signals
	cmd.Env = slices.Concat(c.env, []string{"HTTP_ADDR=" + address})
	cmd.Stdout, cmd.Stderr = c.log.writer, c.log.writer
	if c.held != nil {
		cmd.ExtraFiles = []*os.File{c.held}
	}
	// If this process is killed, the kernel sends the child this signal.
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

// health returns the child's address ("" if it does not run), how often it has ended by itself, and the last error.
func (c *child) health() (address string, deaths int, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serving, c.deaths, c.last
}

// stop ends the child. After 25 s, or 1 s after hurry is closed, the child is killed.
func (c *child) stop() {
	c.stopOnce.Do(func() { close(c.stopping) })
	<-c.ended
}

// end sends SIGTERM to a process, and later SIGKILL.
func (c *child) end(process *localserver.Child) {
	_ = process.Signal(syscall.SIGTERM) // the only error is that it has ended
	_ = process.Signal(syscall.SIGCONT) // a stopped process handles no SIGTERM
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
			c.say("%s does not end: it is killed", c.name)
			_ = process.SignalGroup(syscall.SIGKILL) // as above
			<-process.Done()
			return
		}
	}
}

// reason says how a process ended.
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

const (
	readyWithin  = 60 * time.Second
	readyEvery   = 50 * time.Millisecond
	probeTimeout = 3 * time.Second
	// A child that ends this often before it was ever ready is not helped by another start.
	deathsAtStart = 3
	tailLines     = 5
)

// awaitReady waits until the child is ready. It fails if the child ends again and again (the error has the end of its
// log), or if it is not ready in time.
func (c *child) awaitReady(ctx context.Context, client *http.Client) error {
	bounded, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		address, deaths, last := c.health()
		if deaths >= deathsAtStart {
			return fmt.Errorf("%s ended %d times before it could work (%s); its log %s ends with:\n%s",
				c.name, deaths, reason(last), c.log.path, c.log.tail(tailLines))
		}
		notReady := errors.New("not running")
		if address != "" {
			if notReady = probe(bounded, client, "http://"+address+"/readyz"); notReady == nil {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("wait for %s: %w", c.name, context.Cause(ctx))
			}
			return fmt.Errorf("%s cannot work after %s (%w); see %s", c.name, readyWithin, notReady, c.log.path)
		}
	}
}

// probe returns nil if the address answers 200.
func probe(ctx context.Context, client *http.Client, address string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	said, err := io.ReadAll(io.LimitReader(answer.Body, 256))
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d: %s", answer.StatusCode, said)
	}
	return nil
}
