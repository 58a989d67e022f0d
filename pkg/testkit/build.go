package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ProgramsVariable names the environment variable with a folder of programs, built as the tests are (with or without -race), so that no
// package's tests link them again: twelve programs take half a minute. A program that is not in it is built.
const ProgramsVariable = "ROLLCALL_TEST_PROGRAMS"

const buildWithin = 10 * time.Minute

// built holds, for this test process, one build of each program, shared by all tests that use it.
var built sync.Map // import path -> func() (string, error)

// buildFolder returns the folder for the programs that this test process builds.
var buildFolder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rollcall-programs-")
	if err != nil {
		return "", err
	}
	atEnd(func() { _ = os.RemoveAll(dir) }) // if this fails, the folder stays in the temporary folder
	return dir, nil
})

// Build returns the path of the program of main package importPath. It is built once per test process, with -race if
// the test has it.
func Build(t testing.TB, importPath string) string {
	t.Helper()
	require.NoError(t, requireMain())
	program, err := binary(importPath)
	require.NoError(t, err)
	return program
}

// binary returns the path of a main package's program, which the first call in a test process builds.
func binary(importPath string) (string, error) {
	once, _ := built.LoadOrStore(importPath, sync.OnceValues(func() (string, error) { return compile(importPath) }))
	build, ok := once.(func() (string, error))
	if !ok {
		return "", fmt.Errorf("build %s: not a build", importPath)
	}
	return build()
}

func compile(importPath string) (string, error) {
	if dir := os.Getenv(ProgramsVariable); dir != "" {
		there := filepath.Join(dir, path.Base(importPath))
		if _, err := os.Stat(there); err == nil { //nolint:gosec // G703: the folder is make's
			return there, nil
		}
	}
	dir, err := buildFolder()
	if err != nil {
		return "", fmt.Errorf("make a folder for programs: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildWithin)
	defer cancel()
	root, err := workspace(ctx)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, strings.ReplaceAll(importPath, "/", "_"), path.Base(importPath))
	args := []string{"build", "-o", to}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, importPath)...) //nolint:gosec // the tests' own packages
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", importPath, err, out)
	}
	return to, nil
}

// workspace returns the folder of go.work, from which the packages of all modules can be built; without a workspace
// "", which means the folder of the package under test.
func workspace(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("find go.work: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if file == "" || file == "off" {
		return "", nil
	}
	return filepath.Dir(file), nil
}
