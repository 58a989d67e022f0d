package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

func TestAPauseAndAResumptionSayWhatFollowsFromThem(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("customers", "pause", inTurn(
		report.CustomerCommanded{CustomerID: "acme", Action: report.CustomerPaused, PausedAt: &moment1},
		report.CustomerCommanded{CustomerID: "acme", Action: report.CustomerAlreadyPaused, PausedAt: &moment1},
	))
	require.Equal(t, result{stdout: "acme: paused; rollcall resume acme lets it go on\n"}, i.run("pause", "acme"))
	require.Equal(t, result{stdout: "acme: was paused already, since 2026-11-20 08:00:00 UTC\n"}, i.run("customer", "pause", "acme"))

	resumed := report.CustomerCommanded{CustomerID: "acme", Action: report.CustomerResumed, Enabled: true, BackfillCompletedAt: &moment1}
	stays, goes, off, bare := resumed, resumed, resumed, resumed
	stays.Backfill, goes.Backfill, off.Enabled, bare.BackfillCompletedAt = new("paused"), new("queued"), false, nil
	none := resumed
	none.Action = report.CustomerNotPaused
	i.answers("customers", "resume", inTurn(resumed, none, stays, goes, off, bare, resumed))
	for _, want := range []string{
		"resumed; it is polled at once", "was not paused", "resumed; its backfill stays paused: rollcall backfill start acme",
		"resumed; its backfill goes on", "resumed; it is switched off, and goes on with a VOMO token that works: rollcall config set acme --vomo-token-file <file>",
		"resumed; it has no backfill under way: rollcall backfill start acme",
	} {
		require.Equal(t, result{stdout: "acme: " + want + "\n"}, i.run("resume", "acme"))
	}
	require.Equal(t, resumed, document[report.CustomerCommanded](t, i.run("customer", "resume", "acme", "--json")))
}

func TestAPauseThatIsRefusedIsToldInTheServicesWords(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("customers", "pause", func(int, []byte) (any, string) { return "it was offboarded", service.CodeConflict })
	i.answers("customers", "resume", unknown)
	require.Equal(t, result{code: 1, stderr: "rollcall: it was offboarded\n"}, i.run("pause", "acme"))
	require.Equal(t, globexUnknown(), i.run("resume", "globex"))
}
