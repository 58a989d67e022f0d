package mirror_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A job hands pages to the mirror: how messages are delivered and how keys are kept must stay replaceable without it.
func TestMirrorDependsOnNeitherWorkerNorVault(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "rollcall.dev/pkg/mirror")
	list.Stderr = t.Output()
	packages, err := list.Output()
	require.NoError(t, err)
	dependencies := strings.Fields(string(packages))
	require.Contains(t, dependencies, "rollcall.dev/pkg/deadletter")
	require.NotContains(t, dependencies, "rollcall.dev/pkg/worker")
	require.NotContains(t, dependencies, "rollcall.dev/pkg/vault")
}
