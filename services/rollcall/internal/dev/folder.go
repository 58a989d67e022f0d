package dev

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder is .rollcall: everything that a second start needs to continue.
type folder struct {
	path   string
	memory memory
	lock   *lock
}

// memory is what must stay the same from one start to the next.
type memory struct {
	// ID tells this folder from another one that stood at the same path before it was removed: a Postgres that
	// had to live elsewhere (see localserver) must not come back to it with keys that are gone.
	ID          string `json:"id"`
	DemoUsers   int    `json:"demoUsers"`
	NATSPort    int    `json:"natsPort"`
	SandboxPort int    `json:"sandboxPort"` // stands in the destination URL of everybody onboarded here
}

// openFolder makes the folder when it is missing, and takes it for this process alone.
func openFolder(path string, users int) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the folder: %w", err)
	}
	// Passable for others, since Postgres runs as another user when we are root; what is secret in it is closed.
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

// remember writes the memory down.
func (f *folder) remember() error {
	text, err := json.MarshalIndent(f.memory, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the folder's memory: %w", err)
	}
	return writeWhole(f.in("dev.json"), append(text, '\n'))
}

// natsKey is the key that JetStream encrypts its files with, made once.
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

// postgres is the folder for localserver. Where a Postgres had to move elsewhere, it is there that it is: the
// link is followed so that our folder may be renamed.
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

// writeWhole writes a file that only we can read: whole or not at all, and there after a power cut.
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
