//go:build unix

package localserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

const (
	superuser   = "rollcall"
	dataFolder  = "data"
	logFile     = "postgres.log"
	logKeptUpTo = 16 << 20
)

// initialise creates the data folder once. initdb works in a folder beside it, which is renamed at the end, so that
// an interrupted initdb leaves nothing that looks like a database. It returns the superuser's password.
func (h *pgHome) initialise(ctx context.Context, durable bool) (string, error) {
	password, err := h.password()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(h.path(dataFolder)); err == nil {
		return password, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	half := h.path(dataFolder + ".new")
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	// A test opens a hundred connections. SCRAM's 4,096 rounds of hashing for each were an eighth of a test's computing time.
	auth := "scram-sha-256"
	if !durable {
		auth = "md5"
	}
	args := []string{
		"--pgdata=" + half, "--username=" + superuser, "--pwfile=" + h.path("password"),
		"--auth=" + auth, "--encoding=UTF8", "--locale=C.UTF-8",
	}
	if !durable {
		args = append(args, "--no-sync")
	}
	if out, err := h.command(ctx, "initdb", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, lastLines(out))
	}
	return password, os.Rename(half, h.path(dataFolder))
}

// password returns the superuser's password. The first call generates it and stores it in a file.
func (h *pgHome) password() (string, error) {
	kept, err := os.ReadFile(h.path("password"))
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, err := os.Stat(h.path(dataFolder)); err == nil {
		return "", fmt.Errorf("%s has a database but its password file is gone: restore it or remove the folder", h.dir)
	}
	password := rand.Text() // letters and digits: nothing to escape in a URL
	return password, h.write("password", password+"\n")
}

// port returns the requested port; without a request, the last used port if it is free; otherwise a free port, which
// it stores for the next start.
func (h *pgHome) port(asked int) (int, error) {
	if asked != 0 {
		if err := portFree(asked); err != nil {
			return 0, fmt.Errorf("port %d: %w", asked, err)
		}
		return asked, nil
	}
	if kept, err := os.ReadFile(h.path("port")); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(kept))); err == nil && portFree(port) == nil {
			return port, nil
		}
	}
	port, err := FreePort()
	if err != nil {
		return 0, err
	}
	return port, h.write("port", strconv.Itoa(port)+"\n")
}

// openLog opens the server's log and truncates it if it is large.
func (h *pgHome) openLog() (*os.File, error) {
	flags := os.O_CREATE | os.O_APPEND | os.O_WRONLY
	if info, err := os.Stat(h.path(logFile)); err == nil && info.Size() > logKeptUpTo {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(h.path(logFile), flags, 0o600)
}

// logTail returns the last lines that the server wrote after the log had size bytes.
func (h *pgHome) logTail(size int64) string {
	whole, err := os.ReadFile(h.path(logFile))
	if err != nil || int64(len(whole)) < size {
		return ""
	}
	return lastLines(whole[size:])
}

// lastLines returns the end of a program's output, short enough for an error.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
