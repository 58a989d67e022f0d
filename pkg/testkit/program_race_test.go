//go:build race

package testkit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestDataRaceInProgramFailsTest(t *testing.T) {
	t.Parallel()
	said := expectFailure(t, func(t *recorder) {
		program := testkit.Program(t, aProgram, testkit.ProgramConfig{Args: []string{"race", "end"}})
		program.Wait()
	})
	require.Contains(t, said, "data race in program")
}
