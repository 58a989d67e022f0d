//go:build unix

package localserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// ErrNoPostgres means that this machine has no Postgres that can be started. Its text says what to install.
var ErrNoPostgres = errors.New("no Postgres 15 or newer on this machine: run `apt-get install postgresql` (or put initdb and postgres on PATH)")

const oldestPostgres = 15

// debianPostgres is where Debian and its derivatives install the server's programs, one folder per major version. It
// is deliberately not on PATH.
const debianPostgres = "/usr/lib/postgresql"

// findPostgres returns the folder with initdb and postgres: the newest of Debian's, otherwise that of PATH. Debian's
// folders go first because programs of that name on PATH are often wrappers that behave differently.
func findPostgres(ctx context.Context, debian string, lookPath func(string) (string, error)) (string, error) {
	best, bestMajor := "", oldestPostgres-1
	// Glob fails only for a bad pattern, and this pattern is constant.
	folders, _ := filepath.Glob(filepath.Join(debian, "*", "bin"))
	for _, dir := range folders {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && major > bestMajor && executable(dir, "initdb") && executable(dir, "postgres") {
			best, bestMajor = dir, major
		}
	}
	if best != "" {
		return best, nil
	}
	postgres, err := lookPath("postgres")
	if err != nil {
		return "", ErrNoPostgres
	}
	// Follow a link on PATH to the folder that has the other programs.
	if postgres, err = filepath.EvalSymlinks(postgres); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPostgres, err)
	}
	dir := filepath.Dir(postgres)
	if !executable(dir, "initdb") {
		return "", fmt.Errorf("%w: no initdb beside %s", ErrNoPostgres, postgres)
	}
	major, err := majorVersion(ctx, postgres)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoPostgres, err)
	}
	if major < oldestPostgres {
		return "", fmt.Errorf("%w: %s is version %d", ErrNoPostgres, postgres, major)
	}
	return dir, nil
}

func executable(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// versionLine matches the major version in "postgres (PostgreSQL) 17.2 (Debian 17.2-1)".
var versionLine = regexp.MustCompile(`\) (\d+)`)

func majorVersion(ctx context.Context, postgres string) (int, error) {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", postgres, err)
	}
	found := versionLine.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("ask %s for its version: no version in its answer", postgres)
	}
	return strconv.Atoi(string(found[1]))
}
