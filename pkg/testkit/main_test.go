package testkit_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// caseVariable makes this test binary, when one of its own tests starts it, behave like a package that uses Main
// wrongly.
const caseVariable = "TESTKIT_CASE"

func TestMain(m *testing.M) {
	switch os.Getenv(caseVariable) {
	case "without Main":
		os.Exit(m.Run())
	case "leaking":
		forever := make(chan struct{})
		go func() { <-forever }()
	}
	if err := os.Setenv("ROLLCALL_TESTKIT_STRAY", "a developer's own setting"); err != nil {
		os.Exit(1)
	}
	testkit.Main(m)
}

func TestDatabaseWithoutMainFailsAndNamesTestMain(t *testing.T) {
	t.Parallel()
	out, err := runThisBinary(t, "without Main", "TestEachTestHasItsOwnDatabase")
	require.Error(t, err)
	require.Contains(t, out, "func TestMain(m *testing.M) { testkit.Main(m) }")
}

func TestLeakedGoroutineFailsPackage(t *testing.T) {
	t.Parallel()
	out, err := runThisBinary(t, "leaking", "TestClockMovesOnlyByAdvance")
	require.Error(t, err)
	require.Contains(t, out, "PASS")
	require.Contains(t, out, "found unexpected goroutines")

	_, err = runThisBinary(t, "well-behaved", "TestClockMovesOnlyByAdvance")
	require.NoError(t, err)
}

func runThisBinary(t *testing.T, behaviour, test string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), caseVariable+"="+behaviour)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
