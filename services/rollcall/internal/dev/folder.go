package dev

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// folder is .rollcall, which has everything that a second start needs to continue.
type folder struct {
	path   string
	memory memory
	lock   *lock
}

// memory has what stays the same from one start to the next.
type memory struct {
	// ID differs from the ID of a removed folder at the same path: a Postgres whose data is in another folder (see
	// localserver) must not be used with keys that are gone.
	ID          string `json:"id"`
	DemoUsers   int    `json:"demoUsers"`
	NATSPort    int    `json:"natsPort"`
	SandboxPort int    `json:"sandboxPort"` // the customers' destination URLs have it
	WebhookPort int    `json:"webhookPort"` // subscriptions at the sandbox's Virtuous have it
	ConsolePort int    `json:"consolePort"` // links have it

	HasAdminToken bool `json:"hasAdminToken"` // the first one was added, and shown
}

// openFolder creates the folder if it is missing, and locks it for this process.
func openFolder(path string, users int) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder: %w", err)
	}
	// Others may pass, because Postgres runs as another user if we are root. Secrets in the folder are not readable.
	if err := makeFolder(path, 0o711); err != nil {
		return nil, err
	}
	taken, err := takeLock(filepath.Join(path, "lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("another `rollcall dev` runs in %s; stop it, or choose another folder with --dir: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, lock: taken}
	if err := f.fill(users); err != nil {
		return nil, errors.Join(err, taken.release())
	}
	return f, nil
}

func (f *folder) fill(users int) error {
	if err := f.lock.sign(); err != nil {
		return err
	}
	for name, mode := range map[string]fs.FileMode{"nats": 0o700, "logs": 0o700, "postgres": 0o711} {
		if err := makeFolder(f.in(name), mode); err != nil {
			return err
		}
	}
	// Keys and a customer's data have no place in a repository.
	if err := os.WriteFile(f.in(".gitignore"), []byte("*\n"), 0o600); err != nil {
		return fmt.Errorf("write .gitignore: %w", err)
	}
	text, err := os.ReadFile(f.in("dev.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.memory = memory{ID: strings.ToLower(rand.Text()[:10]), DemoUsers: users}
		return f.remember()
	case err != nil:
		return fmt.Errorf("read what the last start left: %w", err)
	}
	if err := json.Unmarshal(text, &f.memory); err != nil || f.memory.ID == "" || f.memory.DemoUsers < 1 {
		return fmt.Errorf("%s is damaged: restore it, or remove the folder to start anew", f.in("dev.json"))
	}
	return nil
}

// remember stores the memory.
func (f *folder) remember() error {
	text, err := json.MarshalIndent(f.memory, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the folder's memory: %w", err)
	}
	return writeWhole(f.in("dev.json"), append(text, '\n'))
}

// natsKey returns the key with which JetStream encrypts its files. It is created once.
func (f *folder) natsKey() (string, error) {
	path := f.in("nats.key")
	text, err := os.ReadFile(path) //nolint:gosec // our own folder
	if err == nil {
		if key := strings.TrimSpace(string(text)); key != "" {
			return key, nil
		}
		return "", fmt.Errorf("%s is empty: restore it, or remove the folder to start anew", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the key of NATS: %w", err)
	}
	if files, err := os.ReadDir(f.in("nats")); err != nil || len(files) > 0 {
		return "", errors.Join(fmt.Errorf("%s is gone, and the streams cannot be read without it: restore it, or remove the folder to start anew", path), err)
	}
	key := rand.Text()
	return key, writeWhole(path, []byte(key+"\n"))
}

// postgres returns the folder of Postgres for localserver. If the data is in another folder, the link is followed, so
// that our folder may be renamed.
func (f *folder) postgres() string {
	own := filepath.Join(f.in("postgres"), f.memory.ID)
	if moved, err := os.Readlink(filepath.Join(own, "postgres-is-in")); err == nil {
		return moved
	}
	return own
}

func (f *folder) in(name string) string { return filepath.Join(f.path, name) }

func (f *folder) logFile(name string) string { return filepath.Join(f.path, "logs", name+".log") }

func makeFolder(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

// writeWhole writes a file that only the owner can read. After a crash the file has the old content or the new one.
func writeWhole(path string, content []byte) error {
	half := path + ".new"
	file, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // our own folder
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(half, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

const (
	// A service that lost its parent gets a SIGTERM, and ends within 25 s.
	leftoversWithin = 40 * time.Second
	leftoversEvery  = 100 * time.Millisecond
)

// errLocked means that another process holds the lock.
var errLocked = errors.New("locked by another process")

// lock is a locked file. The kernel releases the lock when all processes that inherited the open file have ended.
type lock struct{ file *os.File }

// takeLock takes the lock at path, or returns errLocked with the process id that the holder wrote.
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

// sign writes our process id for the error of another process.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	if _, err := l.file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	return nil
}

// release closes the file. The lock is free if no child has the file open.
func (l *lock) release() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}

// takeAfterLeftovers takes the lock that all children share. It is free when all children of an earlier run have ended,
// because two runs must not use the same ports and files.
func takeAfterLeftovers(ctx context.Context, path string, say func()) (*lock, error) {
	ctx, cancel := context.WithTimeout(ctx, leftoversWithin)
	defer cancel()
	tick := time.NewTicker(leftoversEvery)
	defer tick.Stop()
	for said := false; ; {
		taken, err := takeLock(path)
		if !errors.Is(err, errLocked) {
			return taken, err
		}
		if !said {
			said = true
			say()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("processes of an earlier run have not ended; end them by hand: %w", context.Cause(ctx))
		}
	}
}
