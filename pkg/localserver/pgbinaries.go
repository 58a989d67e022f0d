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

// ErrNoPostgres says that this machine has no Postgres that can be started, and what to do about it.
var ErrNoPostgres = errors.New("no Postgres 15 or newer on this machine: run `apt-get install postgresql` (or put initdb and postgres on PATH)")

const oldestPostgres = 15

// debianPostgres is where Debian and its children keep the server's programs, one folder a major version, off
// PATH on purpose.
const debianPostgres = "/usr/lib/postgresql"

// findPostgres is the folder with initdb and postgres: the newest of Debian's, else that of PATH. Debian's goes
// first because the programs of that name on PATH are often wrappers with ideas of their own.
func findPostgres(ctx context.Context, debian string, lookPath func(string) (string, error)) (string, error) {
	best, bestMajor := "", oldestPostgres-1
	// Glob's only error is a bad pattern, and this one is ours.
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
	// A link on PATH leads to the folder where the other programs are.
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

// versionLine finds the major version in "postgres (PostgreSQL) 17.2 (Debian 17.2-1)".
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
