//go:build unix

package localserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrInUse means that another rollcall process runs a Postgres in this folder.
var ErrInUse = errors.New("another process runs a Postgres in this folder")

// movedLink is the name of a link in the requested folder. It leads to the folder that holds the data.
const movedLink = "postgres-is-in"

// pgHome is the folder of a Postgres, and the user that the server runs as.
type pgHome struct {
	dir  string
	bin  string
	cred *syscall.Credential // nil: the current user
	lock *os.File
}

func (h *pgHome) path(name string) string { return filepath.Join(h.dir, name) }

// openHome creates and locks the folder. If this process is root, it chooses an unprivileged user, because Postgres
// does not run as root, makes that user the owner of the folder, and moves to another folder if the user cannot reach
// this one.
func openHome(ctx context.Context, dir, bin string) (*pgHome, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	h := &pgHome{dir: dir, bin: bin}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := h.leaveRoot(ctx); err != nil {
			return nil, err
		}
	}
	if err := h.lockFolder(); err != nil {
		return nil, err
	}
	return h, nil
}

// close unlocks the folder.
func (h *pgHome) close() error { return h.lock.Close() }

// lockFolder locks the folder until close, or until this process ends.
func (h *pgHome) lockFolder() error {
	lock, err := os.OpenFile(h.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.Join(fmt.Errorf("%w: %s", ErrInUse, h.dir), lock.Close())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", h.dir, err), lock.Close())
	}
	h.lock = lock
	return nil
}

func (h *pgHome) leaveRoot(ctx context.Context) error {
	account, err := unprivileged()
	if err != nil {
		return err
	}
	if h.cred, err = credential(account); err != nil {
		return err
	}
	// Existing data stay with the user who created them.
	if uid, gid, ok := ownerOf(h.path(dataFolder)); ok && uid != 0 {
		h.cred = &syscall.Credential{Uid: uid, Gid: gid}
	}
	if err := h.own(h.dir); err != nil {
		return err
	}
	// Ask the kernel: the mode bits do not show access lists and mounts.
	if err := h.tryFrom(ctx, "/"); err != nil {
		return fmt.Errorf("user id %d cannot run the postgres in %s: %w", h.cred.Uid, h.bin, err)
	}
	if h.tryFrom(ctx, h.dir) == nil {
		return nil
	}
	return h.move(ctx)
}

func ownerOf(path string) (uid, gid uint32, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return stat.Uid, stat.Gid, true
}

// move switches to another folder, named by the hash of the first, in a place that the server's user can reach, and
// leaves a link to it. It is needed if that user cannot enter a parent of the first folder.
func (h *pgHome) move(ctx context.Context) error {
	sum := sha256.Sum256([]byte(h.dir))
	name := hex.EncodeToString(sum[:8])
	var failures error
	for _, parent := range []string{"/var/lib/rollcall-dev", filepath.Join(os.TempDir(), "rollcall-dev")} {
		to := filepath.Join(parent, name)
		if err := h.tryMove(ctx, parent, to); err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		link := h.path(movedLink)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		h.dir = to
		return os.Symlink(to, link)
	}
	return fmt.Errorf("no folder that user id %d can reach: %w", h.cred.Uid, failures)
}

func (h *pgHome) tryMove(ctx context.Context, parent, to string) error {
	// Every user may pass through the parent; only the server's user may enter the folder itself.
	if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if err := h.own(to); err != nil {
		return err
	}
	return h.tryFrom(ctx, to)
}

// tryFrom runs "postgres --version" as the server's user with dir as its working directory.
func (h *pgHome) tryFrom(ctx context.Context, dir string) error {
	cmd := h.command(ctx, "postgres", "--version")
	cmd.Dir = dir
	return cmd.Run()
}

// command returns a command that runs a program of Postgres as the server's user in the server's folder.
func (h *pgHome) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, program), args...) //nolint:gosec // the arguments come from this package
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.cred}
	cmd.Env = postgresEnv()
	return cmd
}

// own makes the server's user the owner of a file.
func (h *pgHome) own(path string) error {
	if h.cred == nil {
		return nil
	}
	return os.Chown(path, int(h.cred.Uid), int(h.cred.Gid))
}

// write writes a file that only the server's user can read. It writes the whole file or nothing.
func (h *pgHome) write(name, content string) error {
	half := h.path(name + ".new")
	if err := os.WriteFile(half, []byte(content), 0o600); err != nil {
		return err
	}
	if err := h.own(half); err != nil {
		return err
	}
	return os.Rename(half, h.path(name))
}

// postgresEnv returns this process's environment without variables that would change the server's behaviour: PGDATA,
// PGPORT and the like are meant for another server, and a locale that the machine does not have stops initdb.
func postgresEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C"}
}

func unprivileged() (*user.User, error) {
	for _, name := range []string{"postgres", "nobody"} {
		if account, err := user.Lookup(name); err == nil && account.Uid != "0" {
			return account, nil
		}
	}
	return nil, errors.New("postgres refuses to run as root, and there is no user postgres or nobody to run it as")
}

func credential(account *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
