package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

func TestResyncSaysWhatHappenedToTheUser(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string]struct {
		code int
		text string
	}{
		operatorapi.ResyncWritten:          {0, "written, as of 2026-11-20 08:00:00 UTC; that version was known already, and was sent again"},
		operatorapi.ResyncOlder:            {1, "older than the known one"},
		operatorapi.ResyncDestinationNewer: {1, "the destination says that it has a newer version"},
		operatorapi.ResyncNotFound:         {1, "nothing was deleted"},
		operatorapi.ResyncLetter:           {1, "dead letter L-1 is open for it (email_invalid, permanent)"},
	} {
		f := newFixture(t)
		f.answers("users", "resync", always(operatorapi.Resync{
			CustomerID: "acme", VomoID: "8205", Outcome: outcome, UpdatedAt: &testTime, KnownUpdatedAt: &testTime, WasCurrent: true,
			Letter: &operatorapi.OpenLetter{ID: "L-1", ErrorCode: "email_invalid", ErrorClass: "permanent"},
		}))
		got := f.run("resync", "acme", "8205")
		require.Equal(t, want.code, got.code, outcome)
		require.Contains(t, got.stdout+got.stderr, want.text)
		asJSON := f.run("resync", "acme", "8205", "--json")
		require.Equal(t, want.code, asJSON.code)
		require.Equal(t, outcome, document[operatorapi.Resync](t, asJSON).Outcome)
	}
}
