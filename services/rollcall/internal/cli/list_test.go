package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestListEndsIfTheServiceNamesTheSamePageAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("backfills", "ls", func(n int, _ []byte) (any, string) {
		if n > 2 {
			return "asked too often", service.CodeBadRequest
		}
		return operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{{ID: 7}}, Next: new(int64(7))}, noCode
	})
	got := f.run("backfill", "ls", "--all")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "backfills.ls: the service names the same page as the next one again")
	require.Empty(t, got.stdout)
}
