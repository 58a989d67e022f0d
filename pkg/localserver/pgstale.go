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

// clearStale deals with the pid file that an earlier run left in the data folder. A server that still lives (its
// parent was killed) is stopped. A pid that meanwhile belongs to another program would make Postgres refuse to
// start, so its file is removed: Postgres guards its data by shared memory as well. A dead one is left to Postgres.
// The caller holds the folder's lock, so no other process of ours is using that server.
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
		return os.Remove(file) // cut short by a crash: Postgres would refuse to start over it
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

// stopForeign ends a server that is not our child: politely, then not. Only its own polling tells when it is gone.
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
