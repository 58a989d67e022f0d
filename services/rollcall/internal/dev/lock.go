package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// A service that lost its parent is told to end, and has 25 s for it.
	leftoversWithin = 40 * time.Second
	leftoversEvery  = 100 * time.Millisecond
)

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// lock is a file that one process holds at a time. The kernel gives it back when the last process that has the
// file open from the one who took it has ended, in whatever way.
type lock struct{ file *os.File }

// takeLock takes the lock at path, or fails at once with errLocked and what the holder left written in it.
func takeLock(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // our own folder
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return &lock{file: file}, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
		if holder, readErr := io.ReadAll(io.LimitReader(file, 32)); readErr == nil && len(holder) > 0 {
			err = fmt.Errorf("%w %s", errLocked, strings.TrimSpace(string(holder)))
		}
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
}

// sign writes our process id for whoever finds the lock taken.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	if _, err := l.file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	return nil
}

// release gives the lock back, unless a child that was given the file is alive.
func (l *lock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}

// takeAfterLeftovers takes the lock that every child shares: it is free when the children of an earlier run,
// which was killed perhaps, have all ended. Two generations of children would fight over ports and files.
func takeAfterLeftovers(ctx context.Context, path string, tell func()) (*lock, error) {
	ctx, cancel := context.WithTimeout(ctx, leftoversWithin)
	defer cancel()
	tick := time.NewTicker(leftoversEvery)
	defer tick.Stop()
	for told := false; ; {
		taken, err := takeLock(path)
		if !errors.Is(err, errLocked) {
			return taken, err
		}
		if !told {
			told = true
			tell()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("processes of an earlier run have not ended; end them by hand: %w", context.Cause(ctx))
		}
	}
}
