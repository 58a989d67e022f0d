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

const buildWithin = 10 * time.Minute

// built remembers, for this test process, each program's build: one for all tests that use it.
var built sync.Map // import path -> func() (string, error)

// buildFolder is where this test process keeps what it built.
var buildFolder = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rollcall-programs-")
	if err != nil {
		return "", err
	}
	atEnd(func() { _ = os.RemoveAll(dir) }) // what stays behind stays in the temporary folder
	return dir, nil
})

// Build is the path of the program of the main package importPath, built (with -race when the test has it) once for
// a test process.
func Build(t testing.TB, importPath string) string {
	t.Helper()
	require.NoError(t, requireMain())
	program, err := binary(importPath)
	require.NoError(t, err)
	return program
}

// binary is the path of a main package's program, built at the first call in a test process.
func binary(importPath string) (string, error) {
	once, _ := built.LoadOrStore(importPath, sync.OnceValues(func() (string, error) { return compile(importPath) }))
	build, ok := once.(func() (string, error))
	if !ok {
		return "", fmt.Errorf("build %s: not a build", importPath)
	}
	return build()
}

func compile(importPath string) (string, error) {
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

// workspace is the folder of go.work, from which the packages of all modules can be built; without a workspace
// it is "", the package under test's own folder.
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
