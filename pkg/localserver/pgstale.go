//go:build unix

package localserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	fastStop      = 10 * time.Second
	immediateStop = 5 * time.Second
	pollEvery     = 20 * time.Millisecond
)

// clearStale handles the pid file that an earlier run left in the data folder. If that server is still running (its
// parent was killed), it is stopped. If the pid now belongs to another program, Postgres would not start, so the file
// is removed; Postgres also protects its data by shared memory. If no process has the pid, Postgres handles the file
// itself. The caller holds the folder's lock, so no other rollcall process uses that server.
func (h *pgHome) clearStale(ctx context.Context) error {
	file := h.path(dataFolder + "/postmaster.pid")
	content, err := os.ReadFile(file) //nolint:gosec // G304: below the server's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return os.Remove(file) // a crash truncated the file, and Postgres does not start with such a file
	}
	if !alive(pid) {
		return nil
	}
	ours, known := isPostgresIn(pid, h.path(dataFolder))
	switch {
	case ours:
		return stopForeign(ctx, pid)
	case known && alive(pid):
		return os.Remove(file)
	}
	return nil
}

// stopForeign ends a server that is not a child of this process: by a fast shutdown, else an immediate one, else
// SIGKILL. Only polling shows when it has ended.
func stopForeign(ctx context.Context, pid int) error {
	for _, step := range []struct {
		sig    syscall.Signal
		within time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, immediateStop}, {syscall.SIGKILL, immediateStop}} {
		if err := syscall.Kill(pid, step.sig); errors.Is(err, syscall.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("stop the server left behind (pid %d): %w", pid, err)
		}
		if gone, err := waitGone(ctx, pid, step.within); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("the server left behind (pid %d) does not end", pid)
}

func waitGone(ctx context.Context, pid int, within time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errStepOver)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, errStepOver) {
				return false, cause
			}
			return false, nil
		case <-tick.C:
		}
	}
	return true, nil
}

var errStepOver = errors.New("time for the next step")

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
